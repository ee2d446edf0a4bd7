package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.nio.file.Path;
import java.util.List;

/**
 * The arguments of {@link SideBySide}.
 *
 * @param reference {@code --reference PATH}: the compiled reference.c
 * @param rounds {@code --rounds N}: how often each contender runs in each scenario
 * @param pokes {@code --pokes N}: how many a round has, for one site; even
 * @param intervalNanos {@code --interval-us N}: from the start of one poke to that of the next, for
 *     one site
 * @param workers {@code --workers N,N,...}: for one site, each number a scenario; empty for none
 * @param batches {@code --batches N,N,...}: sites of a batch, each number a scenario; empty for
 *     none
 * @param batchWorkers {@code --batch-workers N}
 * @param json {@code --json}
 */
record SideBySideOptions(
    Path reference,
    int rounds,
    int pokes,
    long intervalNanos,
    ImmutableList<Integer> workers,
    ImmutableList<Integer> batches,
    int batchWorkers,
    boolean json) {

  /**
   * Reads the command line.
   *
   * @throws IllegalArgumentException that says what is wrong
   */
  static SideBySideOptions parse(List<String> arguments) {
    Path reference = null;
    int rounds = 5;
    int pokes = 400;
    int intervalMicros = 500;
    ImmutableList<Integer> workers = ImmutableList.of(1, 2, 8);
    ImmutableList<Integer> batches = ImmutableList.of(10, 100, 1000);
    int batchWorkers = 2;
    boolean json = false;
    Arguments rest = new Arguments(arguments);
    while (rest.hasNext()) {
      switch (rest.next()) {
        case "--json" -> json = true;
        case "--reference" -> reference = Path.of(rest.value());
        case "--rounds" -> rounds = rest.number(1, 10_000);
        case "--pokes" -> pokes = rest.number(2, 1_000_000) & -2;
        case "--interval-us" -> intervalMicros = rest.number(0, 1_000_000);
        case "--workers" -> workers = rest.numbers(0, 512);
        case "--batches" -> batches = rest.numbers(2, 1000);
        case "--batch-workers" -> batchWorkers = rest.number(0, 512);
        default -> throw rest.unknown();
      }
    }
    checkArgument(reference != null, "--reference PATH is needed");
    return new SideBySideOptions(
        reference, rounds, pokes, intervalMicros * 1000L, workers, batches, batchWorkers, json);
  }
}
