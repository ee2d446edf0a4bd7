package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * The function ranges that an object's unwind information names. They are there in stripped objects
 * too, and each start is one of an instruction: trusted starts for a planner. Link-time addresses.
 * Immutable and thread-safe.
 *
 * <p>Source: LSB Core, "Exception Frames"; DWARF 4, section 6.4.1.
 */
public final class EhFrame {
  private final ImmutableList<FunctionRange> ranges;
  private final ImmutableList<FunctionRange> byEnd;

  private EhFrame(ImmutableList<FunctionRange> ranges) {
    this.ranges = ranges;
    this.byEnd =
        ImmutableList.sortedCopyOf(
            (one, other) -> Long.compareUnsigned(one.end(), other.end()), ranges);
  }

  /**
   * Reads {@code .eh_frame}; without that section there are no ranges.
   *
   * @throws BadObjectException if it is malformed, or encodes addresses as no x86-64 compiler does
   */
  public static EhFrame of(ElfImage image) {
    Optional<Section> section = image.section(".eh_frame");
    Optional<ElfBytes> bytes = section.flatMap(image::contents);
    return new EhFrame(
        bytes.isEmpty()
            ? ImmutableList.of()
            : new EhReader(image::isExecutable, section.get().address(), bytes.get()).ranges());
  }

  /** All ranges, sorted by start. Ranges outside of executable segments are left out. */
  public ImmutableList<FunctionRange> ranges() {
    return ranges;
  }

  /** The range that holds {@code address}; that with the nearest start if there are several. */
  public Optional<FunctionRange> rangeAt(long address) {
    int behind = address == -1 ? ranges.size() : firstFrom(address + 1);
    return behind == 0
        ? Optional.empty()
        : Optional.of(ranges.get(behind - 1)).filter(range -> range.contains(address));
  }

  /** The ranges that start in {@code [from, to)}. */
  public ImmutableList<FunctionRange> startingIn(long from, long to) {
    int first = firstFrom(from);
    return ranges.subList(first, Math.max(first, firstFrom(to)));
  }

  /**
   * The ranges that end in {@code [from, to)}, sorted by end: their last byte lies before that, and
   * what follows is no part of them.
   */
  public ImmutableList<FunctionRange> endingIn(long from, long to) {
    int first = firstFrom(byEnd, FunctionRange::end, from);
    return byEnd.subList(first, Math.max(first, firstFrom(byEnd, FunctionRange::end, to)));
  }

  /** Index of the first range that starts at {@code address} or behind it. */
  private int firstFrom(long address) {
    return firstFrom(ranges, FunctionRange::start, address);
  }

  /** Index of the first range whose {@code key} is {@code address} or more; it is sorted by it. */
  private static int firstFrom(
      ImmutableList<FunctionRange> sorted, ToLongFunction<FunctionRange> key, long address) {
    int low = 0;
    int high = sorted.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (Long.compareUnsigned(key.applyAsLong(sorted.get(middle)), address) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
