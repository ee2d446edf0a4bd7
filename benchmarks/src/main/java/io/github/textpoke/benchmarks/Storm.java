package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.TargetProcess;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Whether garbage collections of this JVM lengthen the time for which workers wait at a breakpoint.
 * Each engine toggles in turn in this JVM when it is calm, when threads of it copy memory and make
 * no garbage, and when a storm of garbage ({@link Gusts}) rages in it: the storm takes processors
 * and caches from the others, and busy does only that. The poker needs no JVM while it pokes; the
 * stepwise engine does, and shows that there is something to see.
 *
 * <p>Each worker keeps to a processor of its own. Where the scheduler puts both on that of the
 * poker, nobody can run a breakpoint, and a storm, which moves them, would be compared with the few
 * pokes that somebody waited for.
 */
public final class Storm {
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);
  private static final int WARM_UP_POKES = 4000;
  private static final String ROW = "%-20s %-6s %9s %11s  %-22s %-24s %-20s %-20s%n";

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
        "parked, median us",
        "parked, p99 us",
        "median / calm",
        "p99 / calm");
    System.out.printf(ROW, "", "", "% of time", "somebody", "of rounds (from to)", "", "", "");
    Scenario scenario = new Scenario(workers, 1, intervalMicros * 1000L, 2 * toggles);
    for (EngineChoice engine : engines) {
      compare(new Textpoke(engine, false, "--pin-workers"), scenario, rounds);
    }
    System.out.printf(
        "%nmachine %d%% busy with others after%n", MachineLoad.percentDuring(LOAD_SAMPLE));
  }

  private static void compare(Textpoke textpoke, Scenario scenario, int rounds) {
    textpoke.poke(new Scenario(scenario.workers(), 1, 0, WARM_UP_POKES));
    List<Run> calm = new ArrayList<>();
    List<Run> busy = new ArrayList<>();
    List<Run> storm = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      calm.add(run(textpoke, scenario));
      try (Gusts copying = Gusts.thatCopy()) {
        busy.add(run(textpoke, scenario));
      }
      try (Gusts raging = Gusts.ofGarbage()) {
        storm.add(run(textpoke, scenario));
      }
    }
    print(textpoke.name(), "calm", calm, calm);
    print(textpoke.name(), "busy", busy, calm);
    print(textpoke.name(), "storm", storm, calm);
  }

  private static Run run(Textpoke textpoke, Scenario scenario) {
    long gc = Gusts.collectionMillis();
    long start = System.nanoTime();
    Tally tally = textpoke.poke(scenario);
    long millis = Math.max(1, (System.nanoTime() - start) / 1_000_000);
    long[] parked = tally.parkNanos();
    return new Run(
        Round.of(parked, 0, false),
        parked.length,
        (int) (100 * (Gusts.collectionMillis() - gc) / millis));
  }

  private static double[] medians(List<Run> runs) {
    return runs.stream().mapToDouble(run -> run.parked.median()).toArray();
  }

  private static double[] p99s(List<Run> runs) {
    return runs.stream().mapToDouble(run -> run.parked.p99()).toArray();
  }

  private static void print(String name, String jvm, List<Run> runs, List<Run> calm) {
    System.out.printf(
        ROW,
        name,
        jvm,
        (int) runs.stream().mapToInt(Run::gcPercent).average().orElseThrow(),
        runs.stream().mapToInt(Run::pokes).sum(),
        micros(medians(runs)),
        micros(p99s(runs)),
        Ratios.of(medians(runs), medians(calm)),
        Ratios.of(p99s(runs), p99s(calm)));
  }

  /** Of the rounds, with the lowest and the highest: those of the calm are the noise. */
  private static String micros(double[] nanos) {
    return String.format(
        Locale.ROOT,
        "%.1f (%.1f to %.1f)",
        Ratios.medianOf(nanos) / 1e3,
        Arrays.stream(nanos).min().orElseThrow() / 1e3,
        Arrays.stream(nanos).max().orElseThrow() / 1e3);
  }
}
