package io.github.textpoke.x86.probe;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * How much room probes get in the target, once, before the first of them is armed; arming maps
 * nothing. It is room for each object that has probed functions. Pages of it are taken as they are
 * used.
 *
 * @param slots how many functions of one object can be probed at once, 1 to {@value #MOST_SLOTS}. A
 *     slot takes 192 bytes of code, and 8 bytes of data for each of the threads. Where times are
 *     taken, a function takes about 600 bytes of code and 700 for each exit, and beside 16 bytes of
 *     data for each of the threads up to 16 histograms of 2,752 bytes
 * @param threads how many threads have counters of their own, a power of two from 2 to {@value
 *     #MOST_THREADS}. Further ones share counters, which takes each call some nanoseconds more;
 *     counts stay exact. A thread that has ended leaves its counters to one whose control block is
 *     at the same address, as the C library's next thread's often is
 */
public record ProbePool(int slots, int threads) {
  /** The most {@link #slots}. */
  public static final int MOST_SLOTS = 1 << 15;

  /** The most {@link #threads}. */
  public static final int MOST_THREADS = 1 << 12;

  /** Room for 4,096 functions and 128 threads. */
  public static final ProbePool DEFAULT = new ProbePool(4096, 128);

  /** Checks the numbers. */
  public ProbePool {
    checkArgument(slots >= 1 && slots <= MOST_SLOTS, "a pool of %s slots", slots);
    checkArgument(
        threads >= 2 && threads <= MOST_THREADS && Integer.bitCount(threads) == 1,
        "counters for %s threads: give a power of two from 2 to %s",
        threads,
        MOST_THREADS);
  }

  /** In words, for who has to enlarge it. */
  String words() {
    return "the pool has %d slots, and counters for %d threads: see ProbePool"
        .formatted(slots, threads);
  }
}
