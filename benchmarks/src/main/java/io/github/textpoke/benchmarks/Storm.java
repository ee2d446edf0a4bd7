package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.TargetProcess;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Whether garbage collections of this JVM lengthen the time for which workers wait at a breakpoint.
 * Each engine toggles in turn in this JVM when it is calm and when {@link GcStorm} rages in it. The
 * poker needs no JVM while it pokes; the stepwise engine does, and shows that there is something to
 * see.
 */
public final class Storm {
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);
  private static final int WARM_UP_POKES = 4000;
  private static final String ROW = "%-20s %-6s %9s %11s %10s %10s %6s  %-20s %-20s%n";

  private Storm() {}

  /** One run: what workers waited, and how much of it this JVM spent on garbage. */
  private record Run(Round parked, int pokes, int gcPercent) {}

  /**
   * {@code --rounds N}, {@code --toggles N}, {@code --interval-us N}, {@code --workers N}, {@code
   * --poker}: without the stepwise engine. Ends the JVM with 2 if they are wrong, with 1 if
   * something fails.
   */
  public static void main(String[] words) {
    int rounds = 3;
    int toggles = 10_000;
    int intervalMicros = 200;
    int workers = 2;
    List<EngineChoice> engines = List.of(EngineChoice.POKER, EngineChoice.STEPWISE);
    try {
      Arguments arguments = new Arguments(List.of(words));
      while (arguments.hasNext()) {
        switch (arguments.next()) {
          case "--rounds" -> rounds = arguments.number(1, 1000);
          case "--toggles" -> toggles = arguments.number(1, 1_000_000);
          case "--interval-us" -> intervalMicros = arguments.number(0, 1_000_000);
          case "--workers" -> workers = arguments.number(1, 512);
          case "--poker" -> engines = List.of(EngineChoice.POKER);
          default -> throw arguments.unknown();
        }
      }
    } catch (IllegalArgumentException wrong) {
      System.err.println("bench: " + wrong.getMessage());
      System.exit(2);
      return;
    }
    TargetProcess.ensureAvailability();
    System.out.printf(
        "%d rounds of %d toggles each in turn; %d workers; 1 site every %d us; machine %d%% busy with"
            + " others before%n%n",
        rounds, toggles, workers, intervalMicros, MachineLoad.percentDuring(LOAD_SAMPLE));
    System.out.printf(
        ROW,
        "who",
        "JVM",
        "collects",
        "pokes that",
        "parked",
        "parked",
        "",
        "storm / calm,",
        "storm / calm,");
    System.out.printf(
        ROW, "", "", "% of time", "parked", "median us", "p99 us", "", "median", "p99");
    Scenario scenario = new Scenario(workers, 1, intervalMicros * 1000L, 2 * toggles);
    for (EngineChoice engine : engines) {
      compare(new Textpoke(engine, false), scenario, rounds);
    }
    System.out.printf(
        "%nmachine %d%% busy with others after%n", MachineLoad.percentDuring(LOAD_SAMPLE));
  }

  private static void compare(Textpoke textpoke, Scenario scenario, int rounds) {
    textpoke.poke(new Scenario(scenario.workers(), 1, 0, WARM_UP_POKES));
    List<Run> calm = new ArrayList<>();
    List<Run> storm = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      calm.add(run(textpoke, scenario));
      try (GcStorm raging = new GcStorm()) {
        storm.add(run(textpoke, scenario));
      }
    }
    print(textpoke.name(), "calm", calm, "", "");
    print(
        textpoke.name(),
        "storm",
        storm,
        Ratios.of(medians(storm), medians(calm)).toString(),
        Ratios.of(p99s(storm), p99s(calm)).toString());
  }

  private static Run run(Textpoke textpoke, Scenario scenario) {
    long gc = GcStorm.millis();
    long start = System.nanoTime();
    Tally tally = textpoke.poke(scenario);
    long millis = Math.max(1, (System.nanoTime() - start) / 1_000_000);
    long[] parked = tally.parkNanos();
    return new Run(
        Round.of(parked, 0, false), parked.length, (int) (100 * (GcStorm.millis() - gc) / millis));
  }

  private static double[] medians(List<Run> runs) {
    return runs.stream().mapToDouble(run -> run.parked.median()).toArray();
  }

  private static double[] p99s(List<Run> runs) {
    return runs.stream().mapToDouble(run -> run.parked.p99()).toArray();
  }

  private static void print(
      String name, String jvm, List<Run> runs, String medianRatios, String p99Ratios) {
    System.out.printf(
        ROW,
        name,
        jvm,
        (int) runs.stream().mapToInt(Run::gcPercent).average().orElseThrow(),
        runs.stream().mapToInt(Run::pokes).sum(),
        micros(medians(runs)),
        micros(p99s(runs)),
        "",
        medianRatios,
        p99Ratios);
  }

  private static String micros(double[] nanos) {
    return String.format(Locale.ROOT, "%.1f", Ratios.medianOf(nanos) / 1e3);
  }
}
