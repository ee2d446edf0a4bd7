package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.util.Arrays;
import java.util.function.ToDoubleFunction;

/**
 * All rounds of one contender in one scenario, beside those of the baseline that ran just before
 * them. Noise that lasts longer than a round hits both, so a ratio is formed within each round, and
 * the median of the ratios is what to look at.
 *
 * @param scenario what was done
 * @param name the contender
 * @param rounds its rounds
 * @param baseline the baseline's rounds, as many, the same ones for the baseline itself
 */
record Comparison(
    Scenario scenario, String name, ImmutableList<Round> rounds, ImmutableList<Round> baseline) {

  /** Checks that there are as many rounds of both. */
  Comparison {
    checkArgument(
        !rounds.isEmpty() && rounds.size() == baseline.size(),
        "%s rounds, %s of the baseline",
        rounds.size(),
        baseline.size());
  }

  /** Whether this is the baseline itself. */
  boolean isBaseline() {
    return rounds.equals(baseline);
  }

  /** The median over all rounds. */
  double median(ToDoubleFunction<Round> value) {
    return medianOf(rounds.stream().mapToDouble(value).toArray());
  }

  /** The highest of all rounds. */
  long max() {
    return rounds.stream().mapToLong(Round::max).max().orElseThrow();
  }

  /** The median over all rounds of the ratio to the baseline of the same round. */
  double ratio(ToDoubleFunction<Round> value) {
    return medianOf(ratios(value));
  }

  /** The lowest ratio of all rounds: with {@link #highestRatio}, how far they scatter. */
  double lowestRatio(ToDoubleFunction<Round> value) {
    return Arrays.stream(ratios(value)).min().orElseThrow();
  }

  /** The highest ratio of all rounds. */
  double highestRatio(ToDoubleFunction<Round> value) {
    return Arrays.stream(ratios(value)).max().orElseThrow();
  }

  /** Breakpoints that workers ran, in all rounds. */
  long traps() {
    return rounds.stream().mapToLong(Round::traps).sum();
  }

  private double[] ratios(ToDoubleFunction<Round> value) {
    double[] ratios = new double[rounds.size()];
    for (int i = 0; i < ratios.length; i++) {
      ratios[i] = value.applyAsDouble(rounds.get(i)) / value.applyAsDouble(baseline.get(i));
    }
    return ratios;
  }

  private static double medianOf(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int half = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
}
