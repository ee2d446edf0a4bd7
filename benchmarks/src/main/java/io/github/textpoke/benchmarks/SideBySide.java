package io.github.textpoke.benchmarks;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.TargetProcess;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Measures textpoke and the C reference in turn, A B A B, in one run, and prints the ratios. Only
 * one of them runs at a time, each with fresh workers in each round.
 *
 * <p>What a time holds: for C, three times writing and core sync. For textpoke the same, and
 * besides the comparison of the old bytes, a rewrite per page to break copy-on-write (the poker:
 * once), and a comparison before each write. Parked threads are released after it.
 */
public final class SideBySide {
  /** Batches are paced slower: one takes milliseconds. */
  private static final long BATCH_INTERVAL_NANOS = 2_000_000;

  /** How many sites are poked in one round of batches, so that rounds take about the same time. */
  private static final int BATCH_SITES_PER_ROUND = 20_000;

  private static final int MOST_BATCHES = 200;

  /** How long to look at what others do before we begin. */
  private static final Duration LOAD_SAMPLE = Duration.ofMillis(500);

  private SideBySide() {}

  /**
   * See {@link SideBySideOptions} for the arguments. Ends the JVM with 2 if they are wrong, with 1
   * if something fails.
   */
  public static void main(String[] arguments) {
    SideBySideOptions options;
    try {
      options = SideBySideOptions.parse(List.of(arguments));
    } catch (IllegalArgumentException wrong) {
      System.err.println("bench: " + wrong.getMessage());
      System.exit(2);
      return;
    }
    run(options);
  }

  private static void run(SideBySideOptions options) {
    TargetProcess.ensureAvailability();
    int load = MachineLoad.percentDuring(LOAD_SAMPLE);
    CReference baseline = new CReference(options.reference(), false);
    List<Scenario> scenarios = scenarios(options);
    // Whether the right is there is the same for both processes; the reference says it.
    Round first = baseline.measure(new Scenario(1, 1, 0, 2));
    Textpoke poker = new Textpoke(EngineChoice.POKER, first.realtime());
    Textpoke stepwise = new Textpoke(EngineChoice.STEPWISE, first.realtime());
    warmUp(poker);
    warmUp(stepwise);

    if (!options.json()) {
      System.out.printf(
          "%d rounds of each in turn; machine %d%% busy with others before; real-time scheduling: %s;"
              + " 1 site every %d us%n%n%s%n",
          options.rounds(),
          load,
          first.realtime() ? "yes" : "no",
          options.intervalNanos() / 1000,
          ComparisonTable.head());
    }
    List<Comparison> all = new ArrayList<>();
    for (Scenario scenario : scenarios) {
      ImmutableList<Contender> contenders =
          Stream.of(baseline, new CReference(options.reference(), true), poker, stepwise)
              .filter(contender -> contender.canDo(scenario))
              .collect(ImmutableList.toImmutableList());
      ImmutableList<Comparison> comparisons = compare(scenario, contenders, options.rounds());
      if (!options.json()) {
        comparisons.forEach(comparison -> System.out.println(ComparisonTable.row(comparison)));
      }
      all.addAll(comparisons);
    }
    int loadAfter = MachineLoad.percentDuring(LOAD_SAMPLE);
    if (options.json()) {
      System.out.println(ComparisonTable.json(all));
    } else {
      System.out.printf("%nmachine %d%% busy with others after%n", loadAfter);
    }
  }

  /**
   * All rounds of all contenders in turn. The first of them is the baseline; one that writes in
   * ranges is that of those behind it, too.
   */
  static ImmutableList<Comparison> compare(
      Scenario scenario, ImmutableList<? extends Contender> contenders, int count) {
    List<List<Round>> rounds = new ArrayList<>();
    contenders.forEach(contender -> rounds.add(new ArrayList<>()));
    for (int round = 0; round < count; round++) {
      for (int i = 0; i < contenders.size(); i++) {
        rounds.get(i).add(contenders.get(i).measure(scenario));
      }
    }
    ImmutableList<Round> inRanges = ImmutableList.of();
    ImmutableList.Builder<Comparison> comparisons = ImmutableList.builder();
    for (int i = 0; i < contenders.size(); i++) {
      ImmutableList<Round> own = ImmutableList.copyOf(rounds.get(i));
      comparisons.add(
          new Comparison(
              scenario,
              contenders.get(i).name(),
              own,
              ImmutableList.copyOf(rounds.get(0)),
              inRanges));
      if (contenders.get(i).isInRanges()) {
        inRanges = own;
      }
    }
    return comparisons.build();
  }

  private static List<Scenario> scenarios(SideBySideOptions options) {
    List<Scenario> scenarios = new ArrayList<>();
    for (int workers : options.workers()) {
      scenarios.add(new Scenario(workers, 1, options.intervalNanos(), options.pokes()));
    }
    for (int sites : options.batches()) {
      int pokes = Math.max(2, Math.min(MOST_BATCHES, BATCH_SITES_PER_ROUND / sites) & -2);
      scenarios.add(new Scenario(options.batchWorkers(), sites, BATCH_INTERVAL_NANOS, pokes));
    }
    return scenarios;
  }

  /** Has the JIT compile what the rounds run. */
  private static void warmUp(Contender contender) {
    contender.measure(new Scenario(1, 1, 0, 10_000));
    contender.measure(new Scenario(1, 100, 0, 100));
  }
}
