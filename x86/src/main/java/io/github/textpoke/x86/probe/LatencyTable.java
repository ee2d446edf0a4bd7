package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * How the data of a latency probe lies in the target, little-endian:
 *
 * <pre>
 *   counters  a {@link CounterTable}, whose rows hold behind the counts, for each function,
 *             u64 absolute address of the thread's histogram; 0: it has none yet
 *   head      {@link Epochs}
 *   head+128  u64 how many histograms were asked for
 *   cells     {@link StackCells}, as {@link #CELL} says
 *   histograms, one behind the other, taken when a thread's first call of a function returns:
 *             u64 generation + function; and from {@value #BUCKETS_AT} on u64 for each bucket, how
 *             many calls took as long
 * </pre>
 *
 * <p>Cells and histograms are not initialised, and pages of them are touched only when they are
 * used.
 *
 * @param functions how many there are
 * @param threads how many have a row of their own, a power of two
 */
record LatencyTable(int functions, int threads) {
  /**
   * A cell holds one call that has not returned: u64 the stack pointer at its entry, where the
   * return address is; u64 the time-stamp counter then; u64 tag: epoch + function; u64 the sum of
   * the first two. A call overwrites whatever it finds there.
   */
  static final int CELL = 32;

  static final int POINTER = 0;
  static final int BEGUN = 8;
  static final int TAG = 16;
  static final int SUM = 24;

  private static final int GROUPS_PER_THREAD = 8;

  static final int ASKED_FOR = 128;
  private static final int HEAD = 256;

  /** Buckets of each power of two. */
  static final int PER_POWER = 8;

  /** Ticks of a call that is too long to be timed: two hours, at 2.5 GHz. */
  static final int MOST_BITS = 44;

  /** How many buckets a histogram has; see {@link #bucket}. */
  static final int BUCKETS = (MOST_BITS - 2) * PER_POWER;

  static final int BUCKETS_AT = 8;

  /** Bytes of a histogram: whole cache lines. */
  static final int HISTOGRAM = BUCKETS_AT + BUCKETS * Long.BYTES + 63 & -64;

  /** Histograms of each function: as many threads may call all of them. */
  private static final int PER_FUNCTION = 16;

  private static final int FEW = 4096;

  CounterTable counters() {
    return new CounterTable(functions, threads, 2);
  }

  /** Offset in a row of the address of a function's histogram. */
  int histogramOf(int function) {
    return (functions + function) * Long.BYTES;
  }

  long head() {
    return counters().size();
  }

  long cells() {
    return head() + HEAD;
  }

  StackCells places() {
    return new StackCells(GROUPS_PER_THREAD * threads, CELL);
  }

  long histograms() {
    return cells() + places().size();
  }

  /** The most histograms. What would need more is not timed. */
  int capacity() {
    long all = (long) functions * (threads + 1);
    return (int) Math.min(all, Math.max(FEW, (long) functions * PER_FUNCTION));
  }

  /** Bytes of all. */
  long size() {
    return histograms() + (long) capacity() * HISTOGRAM;
  }

  /**
   * Before the first call, up to the cells.
   *
   * @param generation of {@link Epochs}
   */
  CodeBytes initial(long address, long generation) {
    ByteBuffer head = ByteBuffer.allocate(HEAD).order(ByteOrder.LITTLE_ENDIAN);
    head.putLong(Epochs.GENERATION, generation);
    return counters().initial(address).concat(CodeBytes.of(head.array()));
  }

  /** The bucket of a duration in ticks. */
  static int bucket(long ticks) {
    long value = ticks + PER_POWER;
    int power = 63 - Long.numberOfLeadingZeros(value) - 3;
    return (int) (value >>> power) + power * PER_POWER - PER_POWER;
  }

  /** The most ticks that a bucket stands for. */
  static long mostTicks(int bucket) {
    int power = bucket / PER_POWER;
    return ((long) (bucket % PER_POWER + PER_POWER + 1) << power) - PER_POWER - 1;
  }
}
