package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.x86.flow.ObjectSweep;
import java.util.Optional;
import java.util.function.BiPredicate;

/**
 * Finds NOPs between functions, of five bytes or more, that nobody runs and a short jump reaches:
 * where a function's entry has room for two bytes alone, such a jump leads to one of them, and from
 * there a jump of five bytes anywhere.
 *
 * <ol>
 *   <li>Assumes that control only comes to where somebody leads, or falls through to.
 *   <li>Guarantees that the function before ends in an instruction that never goes on, that all up
 *       to the next function are NOPs or breakpoints, and that nobody leads there.
 * </ol>
 */
final class Islands {
  private static final int JUMP = 5;
  private static final int SHORT_JUMP = 2;

  private final ObjectSweep sweep;
  private final LoadedBytes loaded;
  private final long bias;
  private final BiPredicate<Long, Long> isLedTo;

  /**
   * @param isLedTo whether anything names or leads to a link-time address from the first up to the
   *     second
   */
  Islands(ObjectSweep sweep, LoadedBytes loaded, long bias, BiPredicate<Long, Long> isLedTo) {
    this.sweep = sweep;
    this.loaded = loaded;
    this.bias = bias;
    this.isLedTo = isLedTo;
  }

  /** Those that a short jump at {@code site} reaches, each as the file holds it. */
  ImmutableList<CodeRegion> near(InstructionDecoder decoder, CodeRegion function, long site) {
    ImmutableList.Builder<CodeRegion> found = ImmutableList.builder();
    long linked = site - bias;
    long last = linked + SHORT_JUMP + Byte.MAX_VALUE;
    // From the function before the first NOP that is near enough, which a gap is judged by.
    long at = linked + SHORT_JUMP + Byte.MIN_VALUE;
    while (isGap(at) && at > linked + 2 * Byte.MIN_VALUE) {
      at--;
    }
    while (at <= last) {
      if (!isGap(at)) {
        at = sweep.functionAt(at).map(FunctionRange::end).orElse(at + 1);
      } else {
        long start = at;
        while (at <= last + JUMP && isGap(at)) {
          at++;
        }
        collect(decoder, function, site, new FunctionRange(start, at), found);
      }
    }
    return found.build();
  }

  private boolean isGap(long address) {
    return loaded.isExecutable(address) && sweep.functionAt(address).isEmpty();
  }

  private void collect(
      InstructionDecoder decoder,
      CodeRegion function,
      long site,
      FunctionRange gap,
      ImmutableList.Builder<CodeRegion> found) {
    Optional<CodeBytes> bytes = loaded.bytes(gap.start(), gap.end() - gap.start());
    if (bytes.isEmpty() || isLedTo.test(gap.start(), gap.end()) || !nobodyFallsInto(decoder, gap)) {
      return;
    }
    CodeRegion padding =
        new CodeRegion(
            "padding",
            gap.start() + bias,
            bytes.get(),
            ImmutableSet.of(),
            ImmutableList.of(),
            function.backing());
    for (int at = 0; at < bytes.get().length(); ) {
      long decoded = decoder.decode(padding, at);
      boolean isPadding =
          Decoded.isDecoded(decoded)
              && (Decoded.flow(decoded) == Flow.NOP || Decoded.flow(decoded) == Flow.BREAKPOINT);
      if (!isPadding) {
        return;
      }
      long distance = padding.address() + at - (site + SHORT_JUMP);
      if (Decoded.flow(decoded) == Flow.NOP
          && Decoded.length(decoded) >= JUMP
          && distance == (byte) distance) {
        found.add(
            new CodeRegion(
                "padding near " + function.name(),
                padding.address() + at,
                bytes.get().slice(at, at + Decoded.length(decoded)),
                ImmutableSet.of(),
                ImmutableList.of(),
                function.backing()));
      }
      at += Decoded.length(decoded);
    }
  }

  /** Whether the function that ends where the gap begins ends in what never goes on. */
  private boolean nobodyFallsInto(InstructionDecoder decoder, FunctionRange gap) {
    Optional<FunctionRange> before = sweep.functionAt(gap.start() - 1);
    Optional<CodeBytes> bytes =
        before.flatMap(range -> loaded.bytes(range.start(), range.end() - range.start()));
    if (before.isEmpty() || bytes.isEmpty() || before.get().end() != gap.start()) {
      return false;
    }
    CodeRegion code = CodeRegion.of("function before", before.get().start() + bias, bytes.get());
    Flow last = Flow.NEXT;
    for (int at = 0; at < bytes.get().length(); ) {
      long decoded = decoder.decode(code, at);
      if (!Decoded.isDecoded(decoded)) {
        return false;
      }
      last = Decoded.flow(decoded);
      at += Decoded.length(decoded);
    }
    return last.endsFlow();
  }
}
