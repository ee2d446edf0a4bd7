package io.github.textpoke.benchmarks;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.List;
import java.util.Locale;

/** Comparisons for people, in microseconds, and for programs, in nanoseconds. */
final class ComparisonTable {
  private static final String HEAD = "%-14s %7s  %-19s %10s %10s %10s  %-20s %7s  %-20s %8s";
  private static final String ROW = "%-14s %7d  %-19s %10.1f %10.1f %10.1f  %-20s %7s  %-20s %8d";

  private ComparisonTable() {}

  /** The line above the rows. */
  static String head() {
    return String.format(
        Locale.ROOT,
        HEAD,
        "what",
        "workers",
        "who",
        "median us",
        "p99 us",
        "max us",
        "median / C",
        "p99 / C",
        "median / C, in ranges",
        "traps");
  }

  /** One line. */
  static String row(Comparison comparison) {
    Scenario scenario = comparison.scenario();
    return String.format(
        Locale.ROOT,
        ROW,
        scenario.text(),
        scenario.workers(),
        comparison.name(),
        comparison.median(Round::median) / 1e3,
        comparison.median(Round::p99) / 1e3,
        comparison.max() / 1e3,
        comparison.isBaseline() ? "1" : comparison.ratios(Round::median).toString(),
        comparison.isBaseline()
            ? "1"
            : String.format(Locale.ROOT, "%.2f", comparison.ratios(Round::p99).median()),
        comparison.rangeRatios(Round::median).map(Ratios::toString).orElse("-"),
        comparison.traps());
  }

  /** All of them, each round included, as one JSON array. */
  static String json(List<Comparison> comparisons) {
    Gson gson = new Gson();
    JsonArray rows = new JsonArray();
    for (Comparison comparison : comparisons) {
      JsonObject row = new JsonObject();
      row.add("scenario", gson.toJsonTree(comparison.scenario()));
      row.addProperty("who", comparison.name());
      row.addProperty("median", comparison.median(Round::median));
      row.addProperty("p99", comparison.median(Round::p99));
      row.addProperty("max", comparison.max());
      Ratios ratios = comparison.ratios(Round::median);
      row.addProperty("medianRatio", ratios.median());
      row.addProperty("medianRatioLowest", ratios.lowest());
      row.addProperty("medianRatioHighest", ratios.highest());
      row.addProperty("p99Ratio", comparison.ratios(Round::p99).median());
      comparison
          .rangeRatios(Round::median)
          .ifPresent(inRanges -> row.addProperty("medianRatioToRanges", inRanges.median()));
      row.addProperty("traps", comparison.traps());
      row.add("rounds", gson.toJsonTree(comparison.rounds()));
      rows.add(row);
    }
    return gson.toJson(rows);
  }
}
