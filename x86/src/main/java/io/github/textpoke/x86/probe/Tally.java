package io.github.textpoke.x86.probe;

import java.util.Arrays;

/** What was counted, by function. Nobody changes the arrays. */
final class Tally {
  private final long[] counts;
  private final long[][] buckets;

  /**
   * Takes both arrays over.
   *
   * @param counts calls
   * @param buckets of the calls that were timed, as {@link LatencyTable#bucket} numbers them; null
   *     where there are none
   */
  Tally(long[] counts, long[][] buckets) {
    this.counts = counts;
    this.buckets = buckets;
  }

  long[] counts() {
    return counts;
  }

  long[][] buckets() {
    return buckets;
  }

  /** Of calls that nobody times. */
  static Tally of(long[] counts) {
    return new Tally(counts, new long[counts.length][]);
  }

  /** Nothing yet. */
  static Tally none(int functions) {
    return of(new long[functions]);
  }

  /** All calls. */
  long total() {
    return Arrays.stream(counts).sum();
  }

  Tally plus(Tally other) {
    return combined(other, 1);
  }

  Tally minus(Tally other) {
    return combined(other, -1);
  }

  private Tally combined(Tally other, int sign) {
    long[][] all = new long[buckets.length][];
    for (int i = 0; i < all.length; i++) {
      all[i] =
          other.buckets[i] == null
              ? buckets[i]
              : combined(
                  buckets[i] == null ? new long[other.buckets[i].length] : buckets[i],
                  other.buckets[i],
                  sign);
    }
    return new Tally(combined(counts, other.counts, sign), all);
  }

  private static long[] combined(long[] one, long[] other, int sign) {
    long[] sums = Arrays.copyOf(one, one.length);
    for (int i = 0; i < sums.length; i++) {
      sums[i] += sign * other[i];
    }
    return sums;
  }
}
