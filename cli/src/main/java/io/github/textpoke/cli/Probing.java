package io.github.textpoke.cli;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.probe.Probe;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.ProbePool;
import io.github.textpoke.x86.probe.ProbeSnapshot;
import io.github.textpoke.x86.probe.ProbeStands;
import io.github.textpoke.x86.probe.Probes;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Probes a process for a time, and takes the probes back. */
final class Probing {
  private static final long PERIOD_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final char QUIT = 'q';

  private final int pid;
  private final String pattern;
  private final ProbeAction action;
  private final ProbeStands stands;
  private final ProbePool pool;
  private final @Nullable Duration duration;
  private final CountDownLatch over = new CountDownLatch(1);

  /**
   * @param duration null: until the JVM is told to end
   */
  Probing(
      int pid,
      String pattern,
      ProbeAction action,
      ProbeStands stands,
      ProbePool pool,
      @Nullable Duration duration) {
    this.pid = pid;
    this.pattern = pattern;
    this.action = action;
    this.stands = stands;
    this.pool = pool;
    this.duration = duration;
  }

  void run(boolean json, PrintWriter out) {
    // The interruption is closed last: the JVM may end when the target has been left.
    LiveTable table = LiveTable.onTerminal(json);
    try (Interruption interruption = Interruption.watch(over::countDown);
        Keys keys = Keys.watch(table.isShown(), QUIT, over::countDown);
        TargetProcess process = TargetProcess.attach(pid)) {
      if (keys.isWatching()) {
        table.endsBy(QUIT);
      }
      Probe probe = Probes.in(process, pool).at(pattern, action, stands);
      ProbeSnapshot first;
      try (Probe armed = probe) {
        armed.arm();
        first = armed.sample();
        watch(armed, first, table);
      }
      Output.print(new Probed(pid, pattern, probe, first, probe.sample()), json, out);
    }
  }

  /** Until the time is over, or the JVM is told to end. */
  private void watch(Probe probe, ProbeSnapshot first, LiveTable table) {
    long end = duration == null ? Long.MAX_VALUE : duration.toNanos();
    long begun = System.nanoTime();
    ProbeSnapshot before = first;
    boolean interrupted = false;
    for (long next = PERIOD_NANOS; !interrupted; next += PERIOD_NANOS) {
      try {
        long wait = begun + Math.min(next, end) - System.nanoTime();
        if (over.await(wait, TimeUnit.NANOSECONDS) || next >= end) {
          break;
        }
        ProbeSnapshot now = probe.sample();
        table.show(before, now);
        before = now;
      } catch (InterruptedException now) {
        interrupted = true;
      }
    }
    table.clear();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
