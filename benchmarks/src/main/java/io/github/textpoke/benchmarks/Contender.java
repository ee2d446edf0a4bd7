package io.github.textpoke.benchmarks;

/** One of those who are compared: it pokes a program of its own, which ends with each round. */
interface Contender {
  /** A short name for the table. */
  String name();

  /** Whether it writes a batch as one range, so that those who do too are compared with it. */
  default boolean isInRanges() {
    return false;
  }

  /** Whether the scenario makes sense for it. */
  boolean canDo(Scenario scenario);

  /**
   * One round.
   *
   * @throws IllegalStateException if it fails, or a worker sees a wrong result
   */
  Round measure(Scenario scenario);
}
