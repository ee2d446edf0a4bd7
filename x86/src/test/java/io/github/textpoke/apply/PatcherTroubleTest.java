package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableSet;
import io.github.textpoke.fixtures.ExitStatus;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.linux.Kernel;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The JVM that patches is stopped, starved or robbed of its poker; its target does not suffer. */
@RequiresPtrace
@Timeout(value = 1, unit = TimeUnit.HOURS)
class PatcherTroubleTest {
  private static final boolean SOAK = Boolean.getBoolean("soak");
  private static final Duration STOPPED = Duration.ofSeconds(3);
  private static final Duration SOON = Duration.ofSeconds(30);

  /** A thread that waits for a stopped tracer never gets there. */
  private static final int MANY_CALLS = 1_000_000;

  private static final int SIGKILL = 9;

  @ParameterizedTest
  @ValueSource(ints = {2, 8})
  void threadsRunOnWhileThePatcherIsStopped(int workers) {
    int rounds = SOAK ? 50 : 2;
    Blows blows = new Blows(workers);
    try (PatchedWorkers target = PatchedWorkers.start(workers)) {
      while (blows.dealt() < rounds) {
        try (PatcherProcess patcher = target.patcher("TOGGLE", PatcherLoad.NONE)) {
          patcher.go();
          patcher.awaitLine(PatcherProgram.WORKING);
          blows.deal(target, patcher::stop);
          long end = System.nanoTime() + STOPPED.toNanos();
          do {
            target.awaitProgress(MANY_CALLS);
          } while (System.nanoTime() - end < 0);
          target.fixture().assertHealthy();
          assertThat(target.isInWindow()).as("a site was left in the middle").isFalse();

          patcher.forgetLines();
          patcher.resume();
          // It goes on, or it says why not.
          if (patcher
              .awaitLine(PatcherProgram.WORKING, PatcherProgram.FAILED)
              .equals(PatcherProgram.WORKING)) {
            patcher.askToEnd();
            patcher.awaitLine(PatcherProgram.ENDED);
            assertThat(patcher.awaitEnd()).as("exit code of " + patcher).isZero();
          }
        }
        target.assertUnharmed();
      }
    }
    System.out.printf("%d workers: patcher stopped %s%n", workers, blows);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 8})
  void aPatcherThatCollectsGarbageAllTheTimePatchesAndLeaves(int workers) {
    int turns = SOAK ? 1_000 : 6;
    try (PatchedWorkers target = PatchedWorkers.start(workers);
        PatcherProcess patcher = target.patcher("TOGGLE", PatcherLoad.GARBAGE)) {
      patcher.go();
      for (int turn = 0; turn < turns; turn++) {
        patcher.awaitLine(PatcherProgram.WORKING);
        target.fixture().assertHealthy();
      }
      patcher.askToEnd();
      patcher.awaitLine(PatcherProgram.ENDED);
      assertThat(patcher.awaitEnd()).as("exit code of " + patcher).isZero();
      target.assertUnharmed();
    }
  }

  /** The JVM may fail or end as it likes; the target must not. */
  @ParameterizedTest
  @ValueSource(ints = {2, 8})
  void aPatcherThatRunsOutOfMemoryAgainAndAgainHarmsNothing(int workers) {
    int failures = SOAK ? 1_000 : 3;
    try (PatchedWorkers target = PatchedWorkers.start(workers);
        PatcherProcess patcher = target.patcher("TOGGLE", PatcherLoad.FULL_HEAP)) {
      patcher.go();
      String line = patcher.awaitLine(PatcherProgram.WORKING);
      for (int failure = 0;
          failure < failures
              && !line.equals(PatcherProgram.FAILED)
              && !line.equals(PatcherProcess.NO_MORE);
          failure++) {
        line = patcher.awaitLineOrEnd(PatcherProgram.OUT_OF_MEMORY, PatcherProgram.FAILED);
        target.fixture().assertHealthy();
      }
      patcher.close();
      target.assertUnharmed();
    }
  }

  /** Nobody is left to take the breakpoint of a poker that is killed in the middle of a change. */
  @ParameterizedTest
  @ValueSource(ints = {2, 8})
  void aPokerKilledFromOutsideTakesTheTargetAlongAtMostByItsBreakpoint(int workers) {
    int rounds = SOAK ? 1_000 : 4;
    Blows blows = new Blows(workers);
    AtomicInteger hits = new AtomicInteger();
    int died = 0;
    while (blows.dealt() < rounds) {
      try (PatchedWorkers target = PatchedWorkers.start(workers);
          PatcherProcess patcher = target.patcher("TOGGLE", PatcherLoad.NONE)) {
        patcher.go();
        patcher.awaitLine(PatcherProgram.WORKING);
        ImmutableSet<Integer> pokers = awaitPokers(target);
        blows.deal(
            target,
            () ->
                pokers.forEach(
                    poker -> {
                      if (Kernel.sendSignal(poker, poker, SIGKILL) == 0) {
                        hits.incrementAndGet();
                      }
                    }));

        // The patcher finds out and says so, or goes on with another poker.
        patcher.forgetLines();
        patcher.awaitLine(PatcherProgram.WORKING, PatcherProgram.FAILED);
        patcher.close();
        if (target.livesOn()) {
          target.assertUnharmed();
        } else {
          died++;
          assertThat(target.fixture().awaitExit(SOON)).isEqualTo(new ExitStatus.Killed("SIGTRAP"));
        }
      }
    }
    assertThat(hits.get()).as("pokers that were there to be killed").isPositive();
    System.out.printf(
        "%d workers: %d pokers killed, aimed at %s; %d targets died%n",
        workers, hits.get(), blows, died);
  }

  /** It leaves when it has had no plan for a while, and another one comes. */
  private static ImmutableSet<Integer> awaitPokers(PatchedWorkers target) {
    long deadline = System.nanoTime() + SOON.toNanos();
    ImmutableSet<Integer> pokers = TargetState.sharersOf(target.pid());
    while (pokers.isEmpty() && System.nanoTime() - deadline < 0) {
      pokers = TargetState.sharersOf(target.pid());
    }
    assertThat(pokers).as("processes in the target's memory").isNotEmpty();
    return pokers;
  }
}
