package io.github.textpoke.benchmarks;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.benchmarks.Windows.Window;

/**
 * What the clients saw of a change of the service, or of nothing in its place.
 *
 * @param nanos how long the change took
 * @param cpuNanos processor time of this JVM meanwhile, which the kernel tells in ticks of 10 ms:
 *     look at the mean of many
 * @param tries how often it was found that threads were in the way
 * @param before calm windows
 * @param during the windows in which it lay: one, if it was short
 */
record Observation(
    long nanos,
    long cpuNanos,
    int tries,
    ImmutableList<Window> before,
    ImmutableList<Window> during) {
  /** Answers per second before it: the median of its windows. */
  double rateBefore() {
    return Ratios.medianOf(before.stream().mapToDouble(Window::answersPerSecond).toArray());
  }

  /** Answers per second in the windows in which it lay. */
  double rateDuring() {
    return during.stream().mapToDouble(Window::answersPerSecond).average().orElseThrow();
  }

  /**
   * What was left of the rate: of the same seconds, so what slows the machine for longer is in
   * both.
   */
  double ratio() {
    return rateDuring() / rateBefore();
  }
}
