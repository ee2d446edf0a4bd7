package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * All rounds of one contender in one scenario, beside those of the baselines that ran just before
 * them. The median of the {@link Ratios} is what to look at.
 *
 * @param scenario what was done
 * @param name the contender
 * @param rounds its rounds
 * @param baseline the baseline's rounds, as many, the same ones for the baseline itself
 * @param inRanges the rounds of who writes a batch as one range, as many; empty where there is no
 *     such baseline, and for the baselines themselves
 */
record Comparison(
    Scenario scenario,
    String name,
    ImmutableList<Round> rounds,
    ImmutableList<Round> baseline,
    ImmutableList<Round> inRanges) {

  /** Checks that there are as many rounds of all. */
  Comparison {
    checkArgument(
        !rounds.isEmpty()
            && rounds.size() == baseline.size()
            && (inRanges.isEmpty() || rounds.size() == inRanges.size()),
        "%s rounds, %s of the baseline, %s in ranges",
        rounds.size(),
        baseline.size(),
        inRanges.size());
  }

  /** Whether this is the baseline itself. */
  boolean isBaseline() {
    return rounds.equals(baseline);
  }

  /** The median over all rounds. */
  double median(ToDoubleFunction<Round> value) {
    return Ratios.medianOf(values(rounds, value));
  }

  /** The highest of all rounds. */
  long max() {
    return rounds.stream().mapToLong(Round::max).max().orElseThrow();
  }

  /** To the baseline. */
  Ratios ratios(ToDoubleFunction<Round> value) {
    return Ratios.of(values(rounds, value), values(baseline, value));
  }

  /** To who writes a batch as one range. */
  Optional<Ratios> rangeRatios(ToDoubleFunction<Round> value) {
    return inRanges.isEmpty()
        ? Optional.empty()
        : Optional.of(Ratios.of(values(rounds, value), values(inRanges, value)));
  }

  /** Breakpoints that workers ran, in all rounds. */
  long traps() {
    return rounds.stream().mapToLong(Round::traps).sum();
  }

  private static double[] values(ImmutableList<Round> rounds, ToDoubleFunction<Round> value) {
    return rounds.stream().mapToDouble(value).toArray();
  }
}
