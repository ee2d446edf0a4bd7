package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.ToggleListener;
import java.util.Arrays;

/** Collects the times of pokes without allocating; those of the first pokes are dropped. */
final class Tally implements ToggleListener {
  private final long[] nanos;
  private final long[] windows;
  private int count = -Scenario.WARM_UP;
  private int windowCount;
  private long traps;

  /**
   * @param pokes how many come at most, after {@link Scenario#WARM_UP} others
   */
  Tally(int pokes) {
    nanos = new long[pokes];
    windows = new long[pokes];
  }

  @Override
  public boolean poked(long time, long window, long trapsOfPoke, int parked) {
    if (count >= 0) {
      nanos[count] = time;
      traps += trapsOfPoke;
      if (parked > 0) {
        windows[windowCount++] = window;
      }
    }
    count++;
    return true;
  }

  /** The times of the pokes. */
  Round round(boolean realtime) {
    return Round.of(Arrays.copyOf(nanos, Math.max(0, count)), traps, realtime);
  }

  /**
   * The times for which a thread may have waited: from the first breakpoint until the last one that
   * waited ran again, of the pokes that somebody waited for.
   */
  long[] parkNanos() {
    return Arrays.copyOf(windows, windowCount);
  }
}
