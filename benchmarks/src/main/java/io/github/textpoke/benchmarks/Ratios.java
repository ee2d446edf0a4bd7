package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Of two that took turns, how much longer one took, turn by turn. Noise that lasts longer than a
 * round hits both, so a ratio is formed within each round.
 *
 * @param ofRounds one of each round, in the order of the rounds
 */
record Ratios(ImmutableList<Double> ofRounds) {
  /** Checks that there is one. */
  Ratios {
    checkArgument(!ofRounds.isEmpty(), "no round");
  }

  /** Of the values of two in the same rounds. */
  static Ratios of(double[] values, double[] baseline) {
    checkArgument(
        values.length == baseline.length,
        "%s rounds, %s of the baseline",
        values.length,
        baseline.length);
    return new Ratios(
        IntStream.range(0, values.length)
            .mapToObj(i -> values[i] / baseline[i])
            .collect(ImmutableList.toImmutableList()));
  }

  /** What to look at. */
  double median() {
    return medianOf(ofRounds.stream().mapToDouble(Double::doubleValue).toArray());
  }

  /** With {@link #highest}, how far they scatter. */
  double lowest() {
    return ofRounds.stream().mapToDouble(Double::doubleValue).min().orElseThrow();
  }

  /** With {@link #lowest}, how far they scatter. */
  double highest() {
    return ofRounds.stream().mapToDouble(Double::doubleValue).max().orElseThrow();
  }

  /** All three, as the tables show them. */
  @Override
  public String toString() {
    return String.format(Locale.ROOT, "%.2f (%.2f to %.2f)", median(), lowest(), highest());
  }

  /** The value in the middle, or between the two there. */
  static double medianOf(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int half = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
}
