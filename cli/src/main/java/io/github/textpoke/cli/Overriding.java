package io.github.textpoke.cli;

import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.DetourSite;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.detour.ReturnOverride;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Overrides a function's return. One that lasts for a time is waited for and taken back; in the
 * target it ends by itself too, so that to kill this command makes nothing last longer.
 */
final class Overriding {
  private final Arguments.Place place;
  private final ReturnOverride override;
  private final X86Planner planner;
  private final CountDownLatch over = new CountDownLatch(1);

  Overriding(Arguments.Place place, ReturnOverride override, X86Planner planner) {
    this.place = place;
    this.override = override;
    this.planner = planner;
  }

  void run(boolean json, PrintWriter out) {
    // The interruption is closed last: the JVM may end when the target has been left.
    try (Interruption interruption = Interruption.watch(over::countDown);
        TargetProcess process = TargetProcess.attach(place.pid)) {
      DetourSite site = Detours.in(process, planner).at(place.site.toString());
      Detour detour = site.returning(override);
      Overridden overridden =
          new Overridden(
              place.pid,
              site.name(),
              site.address(),
              override,
              detour.id(),
              detour.patch().report().orElseThrow(),
              null);
      if (override.duration().isEmpty()) {
        Output.print(overridden, json, out);
        return;
      }
      if (!json) {
        Output.print(overridden, false, out);
      }
      await(override.duration().get());
      ApplyReport reverted = detour.revert();
      if (json) {
        Output.print(overridden.revertedBy(reverted), true, out);
      } else {
        out.println("reverted, " + Output.took(reverted));
        out.flush();
      }
    }
  }

  /** Until the time is over, or the JVM is told to end. */
  private void await(Duration duration) {
    boolean interrupted = false;
    long deadline = System.nanoTime() + duration.toNanos();
    while (true) {
      try {
        if (over.await(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)
            || deadline - System.nanoTime() <= 0) {
          break;
        }
      } catch (InterruptedException now) {
        interrupted = true;
        break;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
