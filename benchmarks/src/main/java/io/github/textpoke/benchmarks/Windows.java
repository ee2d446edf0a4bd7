package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.LongStream;

/**
 * The answers that the clients of the service have had, in windows of 100 ms, as {@code
 * service_load} counts them itself. To wait for a window, its clock is read and not its counters,
 * so that this JVM does nothing meanwhile.
 */
final class Windows {
  /** Length of a window. */
  static final long NANOS = 100_000_000;

  private static final int KEPT = 1200;
  private static final int LOOKS = 10;
  private static final long PAUSE_NANOS = 50_000;
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final Fixture load;

  /** When window 0 began, of {@link System#nanoTime}, which is the clock of the clients. */
  private final long start;

  private Windows(Fixture load, long start) {
    this.load = load;
    this.start = start;
  }

  /** What was counted in one window. */
  record Window(double answersPerSecond, long longestNanos) {}

  /** Of a {@code service_load}. Takes a second. */
  static Windows of(Fixture load) {
    // A window is seen to end some time after it has: the soonest is the best.
    long soonest = Long.MAX_VALUE;
    long number = load.counter("window");
    for (int i = 0; i < LOOKS; i++) {
      long before = number;
      while (number == before) {
        LockSupport.parkNanos(PAUSE_NANOS);
        number = load.counter("window");
      }
      soonest = Math.min(soonest, System.nanoTime() - number * NANOS);
    }
    return new Windows(load, soonest);
  }

  /** Number of the window at a time of {@link System#nanoTime}. */
  long at(long time) {
    return Math.floorDiv(time - start, NANOS);
  }

  /** Number of the window that is under way. */
  long present() {
    return at(System.nanoTime());
  }

  /** Sleeps until a window has been under way for so long. */
  void await(long number, long offsetNanos) {
    long time = start + number * NANOS + offsetNanos;
    for (long left = time - System.nanoTime(); left > 0; left = time - System.nanoTime()) {
      LockSupport.parkNanos(left);
    }
  }

  /**
   * Those from a number to another, both included, when they are over.
   *
   * @throws AssertionError if the clients end meanwhile
   */
  ImmutableList<Window> read(long from, long to) {
    checkArgument(present() - from < KEPT, "window %s is counted no more", from);
    await(to + 1, 0);
    load.awaitCounter("window", to + 1, PATIENCE);
    return LongStream.rangeClosed(from, to)
        .mapToObj(
            number ->
                new Window(
                    load.counter("rate_" + number % KEPT) * (1e9 / NANOS),
                    load.counter("longest_" + number % KEPT)))
        .collect(ImmutableList.toImmutableList());
  }
}
