package io.github.textpoke.x86.probe;

import com.google.common.base.Splitter;
import com.google.common.base.Suppliers;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.linux.NativeCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/**
 * The processor's time-stamp counter, which the target reads, and what it says in nanoseconds. The
 * JVM reads the counter itself, beside {@link System#nanoTime}, which is CLOCK_MONOTONIC: once at
 * first, and again whenever it is asked; so the ratio gets better with time. Thread-safe.
 */
final class TimeStampCounter {
  private static final Path CPUINFO = Path.of("/proc/cpuinfo");

  /**
   * Of /proc/cpuinfo: it counts at one rate, whatever the clock, also while the processor sleeps.
   */
  private static final ImmutableList<String> NEEDED =
      ImmutableList.of("constant_tsc", "nonstop_tsc");

  /** rdtsc; shl rdx, 32; or rax, rdx; ret. */
  private static final CodeBytes READ = CodeBytes.ofHex("0f3148c1e2204809d0c3");

  /** A moment is read so often, and the shortest reading counts. */
  private static final int TRIES = 32;

  /** Long enough for a ratio: a moment is known to less than a microsecond. */
  private static final long SHORTEST_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  private static final Supplier<TimeStampCounter> INSTANCE =
      Suppliers.memoize(TimeStampCounter::new);

  private final NativeCode read;
  private final Moment first;

  private record Moment(long ticks, long nanos) {}

  /** What it says in the time of {@link System#nanoTime}. */
  static final class Scale {
    private final Moment first;
    private final double nanosPerTick;

    private Scale(Moment first, double nanosPerTick) {
      this.first = first;
      this.nanosPerTick = nanosPerTick;
    }

    long nanos(long ticks) {
      return first.nanos + duration(ticks - first.ticks);
    }

    /** Nanoseconds of so many ticks. */
    long duration(long ticks) {
      return (long) (ticks * nanosPerTick);
    }
  }

  private TimeStampCounter() {
    List<String> flags = flags();
    for (String flag : NEEDED) {
      if (!flags.contains(flag)) {
        throw new UnsupportedPlatformException(
            "times are taken by the time-stamp counter, and that of this processor is not constant:"
                + " /proc/cpuinfo does not list "
                + flag,
            /* cause= */ null);
      }
    }
    NativeCode mapped = NativeCode.map(READ);
    if (mapped == null) {
      throw new UnsupportedPlatformException(
          "this JVM may not run code of its own, to read the time-stamp counter",
          /* cause= */ null);
    }
    this.read = mapped;
    this.first = moment();
  }

  /**
   * That of this machine.
   *
   * @throws UnsupportedPlatformException if it does not count evenly, or can't be read
   */
  static TimeStampCounter get() {
    return INSTANCE.get();
  }

  private static List<String> flags() {
    try {
      return Files.readAllLines(CPUINFO).stream()
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> Splitter.on(' ').splitToList(line))
          .orElse(List.of());
    } catch (IOException hidden) {
      throw new UnsupportedPlatformException(
          "times are taken by the time-stamp counter, and whether it is constant can't be read",
          hidden);
    }
  }

  /** What it says now. */
  long ticks() {
    return read.call(0);
  }

  private Moment moment() {
    long shortest = Long.MAX_VALUE;
    Moment best = new Moment(0, 0);
    for (int i = 0; i < TRIES; i++) {
      long before = System.nanoTime();
      long ticks = ticks();
      long taken = System.nanoTime() - before;
      if (taken < shortest) {
        shortest = taken;
        best = new Moment(ticks, before + taken / 2);
      }
    }
    return best;
  }

  /** Nanoseconds of a tick; waits some milliseconds where the counter has just been looked at. */
  double nanosPerTick() {
    for (long left; (left = first.nanos + SHORTEST_NANOS - System.nanoTime()) > 0; ) {
      LockSupport.parkNanos(left);
    }
    Moment now = moment();
    return (double) (now.nanos - first.nanos) / (now.ticks - first.ticks);
  }

  /** As {@link #nanosPerTick}. */
  Scale scale() {
    return new Scale(first, nanosPerTick());
  }
}
