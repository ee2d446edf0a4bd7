package io.github.textpoke.cli;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.probe.CapturedCalls;
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

/** Probes a process for a time and prints each call, and takes the probes back. */
final class Capturing {
  private static final long PERIOD_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  private static final char QUIT = 'q';

  private final int pid;
  private final String pattern;
  private final ProbeAction.Capture action;
  private final ProbeStands stands;
  private final ProbePool pool;
  private final @Nullable Duration duration;
  private final CountDownLatch over = new CountDownLatch(1);

  /**
   * @param duration null: until the JVM is told to end
   */
  Capturing(
      int pid,
      String pattern,
      ProbeAction.Capture action,
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
    CallPrinter printer = new CallPrinter(action, json, out);
    // The interruption is closed last: the JVM may end when the target has been left.
    try (Interruption interruption = Interruption.watch(over::countDown);
        Keys keys = Keys.watch(!json && Progress.stderrIsTerminal(), QUIT, over::countDown);
        TargetProcess process = TargetProcess.attach(pid)) {
      Probe probe = Probes.in(process, pool).at(pattern, action, stands);
      if (keys.isWatching()) {
        System.err.printf("%s or Ctrl-C ends it and takes all probes back%n", QUIT);
      }
      Totals totals = new Totals();
      ProbeSnapshot first;
      try (Probe armed = probe) {
        armed.arm();
        first = armed.sample();
        watch(armed, printer, totals);
      }
      totals.add(probe.drain(), printer);
      ProbeSnapshot last = probe.sample();
      Probed probed = new Probed(pid, pattern, probe, first, last);
      Captured result = new Captured(probed, totals.captured, totals.lost);
      if (json) {
        Output.printLine(result::json, out);
        out.flush();
      } else {
        Output.print(result, /* asJson= */ false, out);
      }
    }
  }

  private static final class Totals {
    private long captured;
    private long lost;

    void add(CapturedCalls calls, CallPrinter printer) {
      printer.print(calls);
      captured += calls.calls().size();
      lost += calls.lost();
    }
  }

  /** Until the time is over, the JVM is told to end, or nobody reads what is printed. */
  private void watch(Probe probe, CallPrinter printer, Totals totals) {
    long end = duration == null ? Long.MAX_VALUE : duration.toNanos();
    long begun = System.nanoTime();
    try {
      while (!printer.isClosed()) {
        long left = end - (System.nanoTime() - begun);
        if (left <= 0 || over.await(Math.min(left, PERIOD_NANOS), TimeUnit.NANOSECONDS)) {
          break;
        }
        totals.add(probe.drain(), printer);
      }
    } catch (InterruptedException now) {
      Thread.currentThread().interrupt();
    }
  }
}
