package io.github.textpoke.benchmarks;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.benchmarks.Windows.Window;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/** Observations as lines for people. */
final class TransitionTable {
  /** The part of the rate that must be left. */
  private static final double ENOUGH = 0.95;

  private static final String ROW = "%-16s %5s  %-16s %8s %9s %9s %9s  %-30s %6s  %-16s %-16s%n";

  private TransitionTable() {}

  /** The first two lines. */
  static String head() {
    return line(
            "change",
            "times",
            "took, ms",
            "JVM's",
            "tries",
            "answers/s",
            "answers/s",
            "during / before",
            "below",
            "longest wait, ms",
            "longest wait, ms")
        + line(
            "",
            "",
            "median (max)",
            "CPU, ms",
            "in vain",
            "before",
            "during",
            "median (5% to 95%; lowest)",
            "0.95",
            "before",
            "during");
  }

  /** Of one kind of change. */
  static String row(String name, List<Observation> all) {
    double[] ratios = sorted(all, Observation::ratio);
    long below = all.stream().filter(one -> one.ratio() < ENOUGH).count();
    return line(
        name,
        Integer.toString(all.size()),
        medianAndMax(sorted(all, one -> one.nanos() / 1e6)),
        String.format(
            Locale.ROOT,
            "%.1f",
            all.stream().mapToLong(Observation::cpuNanos).average().orElseThrow() / 1e6),
        Integer.toString(all.stream().mapToInt(Observation::tries).sum()),
        String.format(Locale.ROOT, "%.0f", Ratios.medianOf(sorted(all, Observation::rateBefore))),
        String.format(Locale.ROOT, "%.0f", Ratios.medianOf(sorted(all, Observation::rateDuring))),
        String.format(
            Locale.ROOT,
            "%.3f (%.3f to %.3f; %.3f)",
            Ratios.medianOf(ratios),
            ratios[ratios.length * 5 / 100],
            ratios[ratios.length * 95 / 100],
            ratios[0]),
        String.format(Locale.ROOT, "%.0f%%", 100.0 * below / all.size()),
        waits(all, Observation::before),
        waits(all, Observation::during));
  }

  /** Of each window the longest wait. */
  private static String waits(
      List<Observation> all, Function<Observation, ImmutableList<Window>> windows) {
    return medianAndMax(
        all.stream()
            .flatMap(one -> windows.apply(one).stream())
            .mapToDouble(window -> window.longestNanos() / 1e6)
            .sorted()
            .toArray());
  }

  private static String medianAndMax(double[] sorted) {
    return String.format(
        Locale.ROOT, "%.1f (%.1f)", Ratios.medianOf(sorted), sorted[sorted.length - 1]);
  }

  private static double[] sorted(List<Observation> all, ToDoubleFunction<Observation> value) {
    return all.stream().mapToDouble(value).sorted().toArray();
  }

  private static String line(Object... cells) {
    return String.format(Locale.ROOT, ROW, cells);
  }
}
