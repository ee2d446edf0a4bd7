package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.EngineFailedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

/**
 * The poker is killed in the middle of a plan that displaces instructions, where no thread runs
 * into its breakpoints: the one that comes after it leaves whole instructions.
 */
@RequiresPtrace
class KilledPokerTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  /** Longer than a busy machine takes to run a thread that is to be moved; waited for once. */
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  private static final long LOOK_NANOS = 50_000;
  private static final int MOST_ROUNDS = 20;
  private static final int SIGKILL = 9;

  /** The first byte of what is put back stands, the last core sync is to come. */
  private static final int LAST_STEP_BACK = 5;

  private static TargetProcess attach(Fixture fixture, Interference interference) {
    return TargetProcess.attach(
        fixture.pid(),
        AttachOptions.DEFAULT
            .withEngine(EngineChoice.POKER)
            .withPatience(PATIENCE)
            // Longer than a busy machine takes to kill a poker that waits.
            .withLease(SOON),
        interference);
  }

  /** Kills the poker before a step. */
  private static class Killer implements Interference {
    private final Fixture fixture;
    int step = -1;

    Killer(Fixture fixture) {
      this.fixture = fixture;
    }

    @Override
    public boolean pauses() {
      return true;
    }

    @Override
    public void before(int next) {
      if (next == step) {
        step = -1;
        kill();
      }
    }

    void kill() {
      ImmutableSet<Integer> pokers = TargetState.sharersOf(fixture.pid());
      assertThat(pokers).hasSize(1);
      pokers.forEach(poker -> assertThat(Kernel.sendSignal(poker, poker, SIGKILL)).isZero());
    }
  }

  @Test
  void theNextPokerUndoesWhatItWasKilledInAtEveryStep() {
    try (Fixture fixture = Fixture.start("displaced", "--threads", "0")) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      PatchPlan plan = site.plan();
      CodeBytes replacement = plan.pokes().get(0).replacement();
      Killer killer = new Killer(fixture);
      try (TargetProcess process = attach(fixture, killer)) {
        for (int step = 0; step < plan.steps().size(); step++) {
          killer.step = step;
          assertUndone(() -> process.apply(plan));
          assertThat(site.bytesNow()).as("before step %s", step).isEqualTo(site.oldBytes());
        }
        assertThat(process.patches()).isEmpty();
        for (int step = 0; step <= LAST_STEP_BACK; step++) {
          Patch patch = process.apply(plan);
          assertThat(site.bytesNow()).isEqualTo(replacement);
          killer.step = step;
          assertUndone(patch::revert);
          assertThat(site.bytesNow()).as("before step %s back", step).isEqualTo(replacement);
          patch.revert();
          assertThat(site.bytesNow()).isEqualTo(site.oldBytes());
        }
      }
    }
  }

  private static void assertUndone(Runnable work) {
    assertThat(failure(work).outcome()).isEqualTo(Outcome.ROLLED_BACK);
  }

  private static PatchException failure(Runnable work) {
    EngineFailedException failure = catchThrowableOfType(EngineFailedException.class, work::run);
    assertThat(failure).isNotNull().hasMessageContaining("the poker was killed");
    return failure;
  }

  /** Its stack leads back to a boundary, on which the breakpoint is taken back in time. */
  @Test
  void aThreadThatReturnsInsideFindsTheOldInstructions() {
    try (Fixture fixture = Fixture.start("displaced", "--threads", "1")) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      fixture.command("hold wait");
      fixture.awaitCounter("held", 1, SOON);
      Killer killer = new Killer(fixture);
      try (TargetProcess process = attach(fixture, killer)) {
        // Four breakpoints and a core sync; before the sixth step it would wait for the thread.
        for (int step = 0; step <= 5; step++) {
          killer.step = step;
          assertUndone(() -> process.apply(site.plan()));
          assertThat(site.bytesNow()).as("before step %s", step).isEqualTo(site.oldBytes());
        }
      }
      fixture.command("release");
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      assertThat(fixture.counter("results_new")).isZero();
      fixture.assertHealthy();
    }
  }

  /**
   * The one instruction can't come back while a thread stands in the several. A signal interrupts
   * it there, and the poker dies before it hears of that, so the handler is on its stack; now and
   * then the signal meets it elsewhere.
   */
  @Test
  void whatWasPutBackStaysWhereAThreadStandsInside() {
    try (Fixture fixture = Fixture.start("displaced", "--threads", "1")) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      int worker = (int) fixture.counter("worker_id_0");
      Killer killer =
          new Killer(fixture) {
            @Override
            void kill() {
              fixture.command("hold wait");
              awaitTracedStop(worker);
              super.kill();
            }
          };
      try (TargetProcess process = attach(fixture, killer)) {
        Outcome outcome = Outcome.ROLLED_BACK;
        for (int round = 0; outcome == Outcome.ROLLED_BACK && round < MOST_ROUNDS; round++) {
          Patch patch = process.apply(site.plan());
          killer.step = LAST_STEP_BACK;
          outcome = failure(patch::revert).outcome();
          if (outcome == Outcome.ROLLED_BACK) {
            patch.revert();
          }
          assertThat(site.bytesNow()).isEqualTo(site.oldBytes());
          // The worker may come late to its handler.
          fixture.awaitCounter("held", 1, SOON);
          long old = fixture.counter("results_old");
          fixture.command("release");
          fixture.awaitCounter("results_old", old + 1_000, SOON);
        }
        assertThat(outcome).isEqualTo(Outcome.UNKNOWN);
      }
      fixture.assertHealthy();
    }
  }

  private static void awaitTracedStop(int tid) {
    long deadline = System.nanoTime() + SOON.toNanos();
    for (ProcStatus status = ProcStatus.read(tid);
        status != null && status.state() != 't';
        status = ProcStatus.read(tid)) {
      assertThat(System.nanoTime() - deadline).as("thread %s to stop", tid).isNegative();
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }
}
