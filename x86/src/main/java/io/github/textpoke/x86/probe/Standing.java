package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.Target.OwnJump;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/** What patches of ours have put where, whoever has made them. */
final class Standing {
  private static final int JUMP_LENGTH = 5;

  /** The bytes before the first patch, by the site's address. */
  private final NavigableMap<Long, Site> oldest = new TreeMap<>();

  /** What stands there now, by the site's address. */
  private final Map<Long, CodeBytes> newest = new HashMap<>();

  /**
   * @param plans that stand, the oldest first
   */
  Standing(List<PatchPlan> plans) {
    for (PatchPlan plan : plans) {
      for (Poke poke : plan.pokes()) {
        oldest.putIfAbsent(poke.address(), poke.site());
        newest.put(poke.address(), poke.replacement());
      }
    }
  }

  /** What a patch of ours has put at an address; empty where none has. */
  Optional<CodeBytes> at(long address) {
    return Optional.ofNullable(newest.get(address));
  }

  /** Whether a breakpoint of a patch of ours stands at an address. */
  boolean isBreakpoint(long address) {
    return at(address).filter(bytes -> bytes.at(0) == X86Planner.INT3).isPresent();
  }

  /** Whether a patch of ours begins behind the first byte of a stretch. */
  boolean isInside(long start, long end) {
    return !oldest.subMap(start, false, end, false).isEmpty();
  }

  /** The function, with the bytes that stood there before we came. */
  CodeRegion withOriginals(CodeRegion code) {
    return new CodeRegion(
        code.name(),
        code.address(),
        code.bytes(),
        code.entryPoints(),
        oldest.subMap(code.address(), code.end()).values().stream()
            .map(code::within)
            .collect(ImmutableList.toImmutableList()),
        code.backing());
  }

  /** The jump of five bytes that a patch of ours has put at an address inside of a function. */
  Optional<OwnJump> jump(X86Planner planner, CodeRegion function, long address) {
    if (newest.isEmpty()) {
      return Optional.empty();
    }
    Optional<CodeRegion> region =
        at(address)
            .filter(bytes -> bytes.length() >= JUMP_LENGTH)
            .map(
                bytes ->
                    new CodeRegion(
                        "the patch of " + function.name(),
                        address,
                        bytes.slice(0, JUMP_LENGTH),
                        ImmutableSet.of(),
                        ImmutableList.of(),
                        function.backing()));
    if (region.isEmpty()) {
      return Optional.empty();
    }
    long decoded = planner.decoder().decode(region.get(), 0);
    boolean isJump =
        Decoded.isDecoded(decoded)
            && Decoded.flow(decoded) == Flow.JUMP
            && Decoded.length(decoded) == JUMP_LENGTH;
    return isJump
        ? Optional.of(
            new OwnJump(
                region.get(),
                Instruction.of(region.get(), 0, decoded).directTarget().orElseThrow()))
        : Optional.empty();
  }
}
