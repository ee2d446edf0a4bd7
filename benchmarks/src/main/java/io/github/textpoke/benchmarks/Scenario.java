package io.github.textpoke.benchmarks;

/**
 * What is measured, the same for all who are compared.
 *
 * @param workers threads that call the sites without pause
 * @param sites how many sites one poke changes, by one plan
 * @param intervalNanos from the start of one poke to that of the next; 0: at once
 * @param pokes how many are measured in a round, each from NOP to jump or back; even
 */
record Scenario(int workers, int sites, long intervalNanos, int pokes) {
  /** Pokes before those that are measured, in each round. Even. */
  static final int WARM_UP = 20;

  /** The scenario in words. */
  String text() {
    return sites == 1 ? "1 site" : "batch of " + sites;
  }
}
