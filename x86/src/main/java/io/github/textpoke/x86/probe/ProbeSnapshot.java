package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * What a probe has seen until now. The counts of one function are read thread by thread while the
 * program runs, so it is no single moment of all threads; what stands in it has happened, and the
 * next one holds it too. When no thread is in a probed function's call any more, it is exact.
 *
 * @param nanos when it was taken, of {@link System#nanoTime}
 * @param functions in the order of {@link Probe#functions}
 */
public record ProbeSnapshot(long nanos, ImmutableList<Counted> functions) {
  /**
   * The calls of one function.
   *
   * @param function that was called
   * @param count how often control came to its first instruction while the probe was armed. A jump
   *     of the function to its own start, as compilers make of a tail recursion, counts as a call
   * @param latencies how long they took, of a probe of {@link ProbeAction#latency}. Those that are
   *     counted and not in there have not returned, or could not be timed
   */
  public record Counted(ProbedFunction function, long count, Optional<Latencies> latencies) {
    /** Calls that nobody times. */
    public Counted(ProbedFunction function, long count) {
      this(function, count, Optional.empty());
    }
  }

  /** The calls of all functions together. */
  public long total() {
    return functions.stream().mapToLong(Counted::count).sum();
  }

  /**
   * How long the calls of the function with that name took; empty where there is none, or nobody
   * timed it.
   *
   * @param name as for {@link #count}
   */
  public Optional<Latencies> latencies(String name) {
    return functions.stream()
        .filter(each -> each.function().isCalled(name))
        .findFirst()
        .flatMap(Counted::latencies);
  }

  /**
   * The calls of the function with that name; 0 where there is none.
   *
   * @param name with the object's or without: any of the names that {@link ProbedFunction} knows
   */
  public long count(String name) {
    return functions.stream()
        .filter(each -> each.function().isCalled(name))
        .mapToLong(Counted::count)
        .sum();
  }
}
