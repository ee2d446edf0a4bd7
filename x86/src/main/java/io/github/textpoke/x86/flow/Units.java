package io.github.textpoke.x86.flow;

import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Symbols;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * The functions of an object, or parts of functions, each from a trusted start to its end, sorted
 * and without overlap: where two overlap the one behind cuts off the one before. Immutable.
 */
final class Units {
  private final long[] starts;
  private final long[] ends;

  private Units(long[] starts, long[] ends) {
    this.starts = starts;
    this.ends = ends;
  }

  /** The ranges of the unwind information, and functions with a size that symbols name. */
  static Units of(EhFrame frames, Symbols symbols, LoadedBytes loaded) {
    List<FunctionRange> ranges = new ArrayList<>(frames.ranges());
    ranges.addAll(symbols.functionRanges());
    ranges.removeIf(range -> range.end() <= range.start() || !loaded.isExecutable(range.start()));
    ranges.sort(
        Comparator.comparingLong(FunctionRange::start)
            .thenComparing(FunctionRange::end, Comparator.reverseOrder()));
    long[] starts = new long[ranges.size()];
    long[] ends = new long[ranges.size()];
    int count = 0;
    for (FunctionRange range : ranges) {
      if (count > 0 && starts[count - 1] == range.start()) {
        continue;
      }
      if (count > 0 && ends[count - 1] > range.start()) {
        ends[count - 1] = range.start();
      }
      starts[count] = range.start();
      ends[count++] = range.end();
    }
    return new Units(Arrays.copyOf(starts, count), Arrays.copyOf(ends, count));
  }

  int count() {
    return starts.length;
  }

  long start(int index) {
    return starts[index];
  }

  long end(int index) {
    return ends[index];
  }

  /** Whether a unit begins at {@code address}. */
  boolean isStart(long address) {
    return Arrays.binarySearch(starts, address) >= 0;
  }

  /** Index of the first unit that begins at {@code address} or behind it. */
  int firstFrom(long address) {
    int found = Arrays.binarySearch(starts, address);
    return found >= 0 ? found : -found - 1;
  }

  /** Index of the unit that holds {@code address}; -1 where none does. */
  int at(long address) {
    int found = Arrays.binarySearch(starts, address);
    int index = found >= 0 ? found : -found - 2;
    return index >= 0 && address < ends[index] ? index : -1;
  }
}
