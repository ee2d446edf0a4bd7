package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A thread that is interrupted, as those of executors are, finishes what it does to a target. */
@RequiresPtrace
class InterruptedCallerTest {
  private static final int TOGGLES = 200;

  @ParameterizedTest
  @EnumSource(
      value = EngineChoice.class,
      names = {"POKER", "STEPWISE"})
  void aPatchIsMadeAndTakenBackByAThreadThatIsInterrupted(EngineChoice engine) {
    try (Fixture fixture = Fixture.start("workers", "--threads", "2", "--sites", "nop_62")) {
      Thread.currentThread().interrupt();
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        Patch patch = process.apply(WorkerSites.plan(process, fixture, "nop_62"));
        assertThat(process.patches()).containsExactly(patch);
        patch.revert();
        assertThat(process.patches()).isEmpty();
      } finally {
        assertThat(Thread.interrupted()).as("the interrupt is left to who wants it").isTrue();
      }
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = EngineChoice.class,
      names = {"POKER", "STEPWISE"})
  void aSeriesOfPokesGoesOnWhileItsThreadIsInterruptedAgainAndAgain(EngineChoice engine) {
    AtomicBoolean over = new AtomicBoolean();
    Thread worker = Thread.currentThread();
    Thread interrupter =
        new Thread(
            () -> {
              while (!over.get()) {
                worker.interrupt();
                Thread.onSpinWait();
              }
            },
            "interrupter");
    try (Fixture fixture = Fixture.start("workers", "--threads", "2", "--sites", "nop_62")) {
      interrupter.start();
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        long done =
            process.toggle(
                WorkerSites.plan(process, fixture, "nop_62"),
                TOGGLES,
                Duration.ZERO,
                (nanos, window, traps, parked) -> true);
        assertThat(done).isEqualTo(TOGGLES);
      } finally {
        over.set(true);
        while (interrupter.isAlive()) {
          Thread.onSpinWait();
        }
        Thread.interrupted();
      }
      fixture.assertHealthy();
    }
  }
}
