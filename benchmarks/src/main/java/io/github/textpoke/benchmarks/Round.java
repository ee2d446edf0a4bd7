package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * What one contender did in one round. Times in nanoseconds, of one poke each.
 *
 * @param median of all pokes
 * @param p99 99 of 100 pokes took no longer
 * @param max the slowest poke
 * @param traps breakpoints that workers ran
 * @param realtime whether the patcher had real-time scheduling
 */
record Round(long median, long p99, long max, long traps, boolean realtime) {

  /** Of the times of all pokes, in any order. */
  static Round of(long[] nanos, long traps, boolean realtime) {
    checkArgument(nanos.length > 0, "no poke was measured");
    long[] sorted = nanos.clone();
    Arrays.sort(sorted);
    return new Round(
        sorted[sorted.length / 2],
        sorted[(int) (sorted.length * 99L / 100)],
        sorted[sorted.length - 1],
        traps,
        realtime);
  }
}
