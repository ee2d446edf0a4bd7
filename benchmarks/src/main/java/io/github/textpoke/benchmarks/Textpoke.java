package io.github.textpoke.benchmarks;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Ascii;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import java.time.Duration;

/** One of textpoke's engines, asked for from this JVM. Times are those that the engine keeps. */
final class Textpoke implements Contender {
  private final EngineChoice engine;
  private final boolean realtime;
  private final String[] workerOptions;

  /**
   * @param engine one by name: with {@code AUTOMATIC} nobody knows what was measured
   * @param realtime whether this process may ask for real-time scheduling, as textpoke does
   * @param workerOptions more options of the fixture
   */
  Textpoke(EngineChoice engine, boolean realtime, String... workerOptions) {
    checkArgument(engine != EngineChoice.AUTOMATIC, "an engine is measured by name");
    this.engine = engine;
    this.realtime = realtime;
    this.workerOptions = workerOptions.clone();
  }

  @Override
  public String name() {
    return "textpoke (" + Ascii.toLowerCase(engine.name()) + ")";
  }

  @Override
  public boolean canDo(Scenario scenario) {
    return true;
  }

  @Override
  public Round measure(Scenario scenario) {
    return poke(scenario).round(realtime);
  }

  /**
   * One round, with all that the engine says of each poke.
   *
   * @throws IllegalStateException as {@link #measure}
   */
  Tally poke(Scenario scenario) {
    AttachOptions options = AttachOptions.DEFAULT.withEngine(engine);
    try (Fixture fixture = Sites.start(scenario.workers(), scenario.sites(), workerOptions);
        TargetProcess process = TargetProcess.attach(fixture.pid(), options)) {
      PatchPlan plan = Sites.plan(fixture, scenario.sites());
      Tally tally = new Tally(scenario.pokes());
      process.toggle(
          plan,
          (Scenario.WARM_UP + scenario.pokes()) / 2,
          Duration.ofNanos(scenario.intervalNanos()),
          tally);
      Sites.assertHealthy(fixture, scenario.workers());
      return tally;
    }
  }
}
