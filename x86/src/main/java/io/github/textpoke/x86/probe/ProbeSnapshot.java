package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;

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
   */
  public record Counted(ProbedFunction function, long count) {}

  /** The calls of all functions together. */
  public long total() {
    return functions.stream().mapToLong(Counted::count).sum();
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
