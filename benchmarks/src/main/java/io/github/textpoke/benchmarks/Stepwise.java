package io.github.textpoke.benchmarks;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.apply.ToggleListener;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import java.time.Duration;
import java.util.Arrays;

/**
 * textpoke's stepwise engine, from this JVM. Times are those of the pokes on the tracer's thread.
 */
final class Stepwise implements Contender {
  private final boolean realtime;

  /**
   * @param realtime whether this process may ask for real-time scheduling, as textpoke does
   */
  Stepwise(boolean realtime) {
    this.realtime = realtime;
  }

  @Override
  public String name() {
    return "textpoke";
  }

  @Override
  public boolean canDo(Scenario scenario) {
    return true;
  }

  @Override
  public Round measure(Scenario scenario) {
    try (Fixture fixture = Sites.start(scenario.workers(), scenario.sites());
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      PatchPlan plan = Sites.plan(fixture, scenario.sites());
      Tally tally = new Tally(scenario.pokes());
      process.toggle(
          plan,
          (Scenario.WARM_UP + scenario.pokes()) / 2,
          Duration.ofNanos(scenario.intervalNanos()),
          tally);
      Sites.assertHealthy(fixture, scenario.workers());
      return tally.round(realtime);
    }
  }

  /** Collects times without allocating; those of the first pokes are dropped. */
  private static final class Tally implements ToggleListener {
    private final long[] nanos;
    private int count = -Scenario.WARM_UP;
    private long traps;

    Tally(int pokes) {
      nanos = new long[pokes];
    }

    @Override
    public boolean poked(long time, long trapsOfPoke, int parked) {
      if (count >= 0) {
        nanos[count] = time;
        traps += trapsOfPoke;
      }
      count++;
      return true;
    }

    Round round(boolean realtime) {
      return Round.of(Arrays.copyOf(nanos, count), traps, realtime);
    }
  }
}
