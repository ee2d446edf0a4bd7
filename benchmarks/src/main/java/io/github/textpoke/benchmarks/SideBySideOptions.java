package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.Streams;
import com.google.common.primitives.Ints;
import java.nio.file.Path;
import java.util.Iterator;
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
    for (Iterator<String> rest = arguments.iterator(); rest.hasNext(); ) {
      String option = rest.next();
      switch (option) {
        case "--json" -> json = true;
        case "--reference" -> reference = Path.of(value(option, rest));
        case "--rounds" -> rounds = number(option, value(option, rest), 1, 10_000);
        case "--pokes" -> pokes = number(option, value(option, rest), 2, 1_000_000) & -2;
        case "--interval-us" -> intervalMicros = number(option, value(option, rest), 0, 1_000_000);
        case "--workers" -> workers = numbers(option, value(option, rest), 0, 512);
        case "--batches" -> batches = numbers(option, value(option, rest), 2, 1000);
        case "--batch-workers" -> batchWorkers = number(option, value(option, rest), 0, 512);
        default -> throw new IllegalArgumentException("unknown option " + option);
      }
    }
    checkArgument(reference != null, "--reference PATH is needed");
    return new SideBySideOptions(
        reference, rounds, pokes, intervalMicros * 1000L, workers, batches, batchWorkers, json);
  }

  private static String value(String option, Iterator<String> rest) {
    checkArgument(rest.hasNext(), "%s needs a value", option);
    return rest.next();
  }

  private static int number(String option, String text, int least, int most) {
    Integer value = Ints.tryParse(text);
    checkArgument(
        value != null && value >= least && value <= most,
        "%s needs a number from %s to %s, not '%s'",
        option,
        least,
        most,
        text);
    return value;
  }

  private static ImmutableList<Integer> numbers(String option, String list, int least, int most) {
    return Streams.stream(Splitter.on(',').omitEmptyStrings().split(list))
        .map(text -> number(option, text, least, most))
        .collect(ImmutableList.toImmutableList());
  }
}
