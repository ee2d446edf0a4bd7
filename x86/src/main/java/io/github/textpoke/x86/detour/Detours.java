package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.detour.Entry.OwnJump;
import io.github.textpoke.x86.plan.Entrances;
import io.github.textpoke.x86.plan.RseqSections;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Makes detours in one process:
 *
 * <pre>{@code
 * Detour detour = Detours.in(process).at("libc:fsync").to(replacement);
 * detour.revert();
 * }</pre>
 *
 * <p>It reads each object once, and keeps what it has found. Not thread-safe.
 */
public final class Detours {
  /** {@code endbr64}: SDM vol. 2. */
  private static final CodeBytes ENDBR64 = CodeBytes.ofHex("f30f1efa");

  private final TargetProcess process;
  private final X86Planner planner;
  private final Map<ElfImage, Entrances> entrances = new HashMap<>();

  private Detours(TargetProcess process, X86Planner planner) {
    this.process = process;
    this.planner = planner;
  }

  /**
   * Those of {@code process}.
   *
   * @param process stays yours to close
   */
  public static Detours in(TargetProcess process) {
    return in(process, X86Planner.create());
  }

  /**
   * Those of {@code process}, planned by {@code planner}.
   *
   * @param process stays yours to close
   * @param planner is ours from now on
   */
  public static Detours in(TargetProcess process, X86Planner planner) {
    return new Detours(process, planner);
  }

  /**
   * The function that begins at a site.
   *
   * @param site {@code 0xADDR} or {@code [object:]symbol[#n]}
   * @throws PatchException if there is no such function, or its object can't be read
   */
  public DetourSite at(String site) {
    return new DetourSite(this, site, entry(site));
  }

  /**
   * Plans gates for functions of one object. Nothing is written.
   *
   * @param ways at least one; each function once
   * @param at absolute address of {@link Gates#SIZE} bytes for each, a multiple of {@link
   *     io.github.textpoke.apply.CodePatch#ALIGNMENT}, in reach of the object
   * @param turn absolute address of the turn
   * @throws PatchException if a function is not there, or can't be led
   */
  public Gates gates(List<Gates.Way> ways, long at, long turn) {
    List<Entry> entries = ways.stream().map(way -> entry(way.site())).toList();
    return Gates.of(knowing(entries.get(0)), entries, ways, at, turn, !process.hasSeccompFilter());
  }

  private Entry entry(String site) {
    CodeRegion code = process.code(site);
    if (process.address(site) != code.address()) {
      throw new BadSiteException(
          site, "a detour stands at a function's entry, that of " + code.name());
    }
    ImageInMemory object = process.resolver().objectAt(code.address());
    Entrances ways =
        entrances.computeIfAbsent(
            object.image(), image -> Entrances.of(image, object.symbols(), object.bias()));
    long first = code.address() + (startsWith(code, ENDBR64) ? ENDBR64.length() : 0);
    return new Entry(code, first, object, ways, jump(code, first));
  }

  private static boolean startsWith(CodeRegion code, CodeBytes bytes) {
    return code.bytes().length() >= bytes.length()
        && code.bytes().slice(0, bytes.length()).equals(bytes);
  }

  /** The jump of five bytes that a patch of ours has put there. */
  private Optional<OwnJump> jump(CodeRegion code, long at) {
    return newest(at)
        .filter(bytes -> bytes.length() >= Entry.JUMP_LENGTH)
        .map(
            bytes ->
                new CodeRegion(
                    "the detour of " + code.name(),
                    at,
                    bytes.slice(0, Entry.JUMP_LENGTH),
                    ImmutableSet.of(),
                    ImmutableList.of(),
                    code.backing()))
        .flatMap(this::jump);
  }

  private Optional<OwnJump> jump(CodeRegion region) {
    long decoded = planner.decoder().decode(region, 0);
    return Decoded.isDecoded(decoded)
            && Decoded.flow(decoded) == Flow.JUMP
            && Decoded.length(decoded) == Entry.JUMP_LENGTH
        ? Optional.of(
            new OwnJump(region, Instruction.of(region, 0, decoded).directTarget().orElseThrow()))
        : Optional.empty();
  }

  /** What the newest patch of ours has put at an address. */
  private Optional<CodeBytes> newest(long address) {
    return process.standing().reverse().stream()
        .flatMap(plan -> plan.pokes().stream())
        .filter(poke -> poke.address() == address)
        .map(Poke::replacement)
        .findFirst();
  }

  /** Where the target's threads find their errno. */
  long errnoLocation() {
    return process.address("__errno_location");
  }

  private Optional<CodeRegion> function(long address) {
    return Optional.of(process.code("0x" + Long.toHexString(address)));
  }

  /** Looks at the entry anew: other detours may stand there since. */
  Detour apply(String site, Destination destination, String label) {
    DetourPatch detour = detour(site, destination);
    Patch patch = process.apply(detour, label);
    return new Detour(patch, detour.original());
  }

  HeldCalls hold(String site, String label) {
    DetourPatch detour = detour(site, new Destination.Holding(!process.hasSeccompFilter()));
    Patch patch = process.apply(detour, label);
    return new HeldCalls(
        process.objectMemory(), new Detour(patch, detour.original()), detour.data());
  }

  void announce(String site, Destination.Announcing announcing, String label) {
    apply(site, announcing, label);
  }

  private DetourPatch detour(String site, Destination destination) {
    Entry entry = entry(site);
    return new DetourPatch(process.pid(), knowing(entry), entry, this::function, destination);
  }

  /** A planner that knows of the object what the rules ask for. */
  private X86Planner knowing(Entry entry) {
    X86Planner knowing =
        planner.withRseq(RseqSections.of(entry.object().image(), entry.object().bias()));
    return process.hasShadowStacks() ? knowing.withShadowStacks() : knowing;
  }
}
