package io.github.textpoke.x86.probe;

import io.github.textpoke.apply.TargetProcess;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads a {@link LatencyTable} out of a process. */
final class LatencyReader {
  /** Histograms that are read at once. */
  private static final int CHUNK = 64;

  private LatencyReader() {}

  /** The calls of each function that were counted, and how long those took that were timed. */
  static Tally read(TargetProcess process, LatencyTable table, long data) {
    // Histograms first: a call is counted before it is timed, so no more are timed than counted.
    long generation = word(process, data + table.head() + Epochs.GENERATION);
    long taken =
        Math.min(table.capacity(), word(process, data + table.head() + LatencyTable.ASKED_FOR));
    long[][] buckets = new long[table.functions()][];
    for (long first = 0; first < taken; first += CHUNK) {
      int count = (int) Math.min(CHUNK, taken - first);
      ByteBuffer chunk =
          bytes(
              process,
              data + table.histograms() + first * LatencyTable.HISTOGRAM,
              count * LatencyTable.HISTOGRAM);
      for (int i = 0; i < count; i++) {
        add(chunk, i * LatencyTable.HISTOGRAM, generation, buckets);
      }
    }
    return new Tally(Counters.read(process::read, table.counters(), data), buckets);
  }

  private static void add(ByteBuffer chunk, int at, long generation, long[][] buckets) {
    long function = chunk.getLong(at) - generation;
    if (function < 0 || function >= buckets.length) {
      // It is being cleared, by the thread that has taken it.
      return;
    }
    long[] sums = buckets[(int) function];
    if (sums == null) {
      sums = new long[LatencyTable.BUCKETS];
      buckets[(int) function] = sums;
    }
    for (int i = 0; i < sums.length; i++) {
      sums[i] += chunk.getLong(at + LatencyTable.BUCKETS_AT + i * Long.BYTES);
    }
  }

  private static long word(TargetProcess process, long address) {
    return bytes(process, address, Long.BYTES).getLong(0);
  }

  private static ByteBuffer bytes(TargetProcess process, long address, int length) {
    return ByteBuffer.wrap(process.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
