package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * How the counters of a probe lie in the target, little-endian:
 *
 * <pre>
 *   +0    for each of the threads: u64 key, 0 while nobody has it; u64 absolute address of the row
 *   rows  one for each of the threads, and behind them the one that the others share:
 *         u64 for each function, how often it was called; and behind all of them the other words
 * </pre>
 *
 * <p>A thread takes the first entry that is free, from the one on that the hash of its thread
 * pointer chooses, by one compare-and-swap, and keeps it. Only it writes to the row then, by one
 * instruction a call, so that its signal handlers lose nothing either. Rows begin at a multiple of
 * 128 bytes: two cache lines, for processors fetch them in pairs.
 *
 * @param functions how many there are
 * @param threads how many have a row of their own, a power of two
 * @param words how many words a row has for each function: the count, and perhaps one more
 */
record CounterTable(int functions, int threads, int words) {
  /** Bytes of an entry. */
  static final int ENTRY = 16;

  static final int KEY = 0;
  static final int ROW = 8;

  private static final int LINES = 128;

  /** With the counts alone. */
  CounterTable(int functions, int threads) {
    this(functions, threads, 1);
  }

  /** Bytes of a row. */
  int rowSize() {
    return roundUp(functions * words * Long.BYTES);
  }

  private static int roundUp(int size) {
    return size + LINES - 1 & -LINES;
  }

  /** Offset of a row; that which is shared is behind the last thread's. */
  long row(int thread) {
    return roundUp(threads * ENTRY) + (long) thread * rowSize();
  }

  /** Bytes of all. */
  long size() {
    return row(threads + 1);
  }

  /** Before the first call. */
  CodeBytes initial(long address) {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(size())).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < threads; i++) {
      bytes.putLong(i * ENTRY + ROW, address + row(i));
    }
    return CodeBytes.of(bytes.array());
  }
}
