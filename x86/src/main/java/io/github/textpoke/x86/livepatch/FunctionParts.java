package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableSet;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.detour.Gates;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Finds where else a function's code lies: compilers move what is rarely run to a part of its own,
 * far off ({@code f.cold}), and a thread there is in the function. It keeps what it has found.
 * Thread-safe.
 */
final class FunctionParts {
  private static final String COLD = ".cold";

  private final TargetProcess process;
  private final InstructionDecoder decoder = WitnessedDecoder.best();
  private final Map<ElfImage, EhFrame> frames = new ConcurrentHashMap<>();
  private final Map<Entry, ImmutableSet<Extent>> known = new ConcurrentHashMap<>();

  /** A function, as long as its object is loaded where it is. */
  private record Entry(String object, long bias, String buildId, long address) {
    static Entry of(GateArea area, long address) {
      return new Entry(area.object(), area.bias(), area.buildId(), address);
    }
  }

  FunctionParts(TargetProcess process) {
    this.process = process;
  }

  /** Finds those of functions that are to be led. */
  void find(GateAreas gates) {
    for (GateAreas.Area area : gates.areas()) {
      GateArea notes = area.notes();
      for (Gates.Function function : area.gates().functions()) {
        known.computeIfAbsent(
            Entry.of(notes, function.address()), entry -> find(function.code(), function.object()));
      }
    }
  }

  /** Those of the functions that are led by some gates. */
  ImmutableSet<Extent> of(GateArea area) {
    ImmutableSet.Builder<Extent> parts = ImmutableSet.builder();
    for (Led led : area.functions()) {
      parts.addAll(
          known.computeIfAbsent(
              Entry.of(area, led.address()),
              entry -> find(process.code(led.site()), process.resolver().objectAt(led.address()))));
    }
    return parts.build();
  }

  /**
   * The function's own bytes, and its parts: ranges of the unwind information to which it jumps and
   * that are no function of their own by name, or are named as its parts.
   */
  private ImmutableSet<Extent> find(CodeRegion function, ImageInMemory object) {
    ImmutableSet.Builder<Extent> parts = ImmutableSet.builder();
    parts.add(new Extent(function.address(), function.bytes().length()));
    CodeRegion code = function.recovered();
    EhFrame ranges = frames.computeIfAbsent(object.image(), EhFrame::of);
    for (int at = 0; at < code.bytes().length(); ) {
      long decoded = decoder.decode(code, at);
      if (!Decoded.isDecoded(decoded)) {
        break;
      }
      Flow flow = Decoded.flow(decoded);
      if (flow != Flow.CALL) {
        Instruction.of(code, at, decoded)
            .directTarget()
            .ifPresent(
                target -> {
                  if (!code.contains(target)) {
                    add(parts, ranges, object, target - object.bias());
                  }
                });
      }
      at += Decoded.length(decoded);
    }
    return parts.build();
  }

  private static void add(
      ImmutableSet.Builder<Extent> parts, EhFrame ranges, ImageInMemory object, long target) {
    ranges
        .rangeAt(target)
        .filter(range -> target != range.start() || isPart(object, range))
        .ifPresent(
            range ->
                parts.add(new Extent(range.start() + object.bias(), range.end() - range.start())));
  }

  private static boolean isPart(ImageInMemory object, FunctionRange range) {
    return object.symbols().codeStartingIn(range.start(), range.start() + 1).stream()
        .allMatch(symbol -> symbol.name().contains(COLD));
  }
}
