package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableSet;
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
import java.util.HashMap;
import java.util.Map;

/**
 * Finds where else a function's code lies: compilers move what is rarely run to a part of its own,
 * far off ({@code f.cold}), and a thread there is in the function. Of one thread; it keeps what it
 * has read of an object.
 */
final class FunctionParts {
  private static final String COLD = ".cold";

  private final InstructionDecoder decoder;
  private final Map<ElfImage, EhFrame> frames = new HashMap<>();

  FunctionParts(InstructionDecoder decoder) {
    this.decoder = decoder;
  }

  /**
   * The function's own bytes, and its parts: ranges of the unwind information to which it jumps and
   * that are no function of their own by name, or are named as its parts.
   */
  ImmutableSet<Extent> of(CodeRegion function, ImageInMemory object) {
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
