package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.ExitStatus;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The JVM that patches is killed at any moment, and its target does not notice. */
@RequiresPtrace
@Timeout(value = 3, unit = TimeUnit.HOURS)
class PatcherDeathTest {
  private static final boolean SOAK = Boolean.getBoolean("soak");
  private static final Duration SOON = Duration.ofSeconds(30);

  /** The breakpoint and the tail stand, the first byte does not. */
  private static final int MIDDLE_STEP = 3;

  @ParameterizedTest
  @ValueSource(strings = {"APPLY", "REVERT"})
  void theTargetOfAStepwisePatcherThatDisplacesDiesWithItInTheMiddle(String work) {
    try (PatchedWorkers target = PatchedWorkers.startDisplaced(2)) {
      killHeldAt(target, work, MIDDLE_STEP, EngineChoice.STEPWISE);
      assertThat(target.fixture().awaitExit(SOON)).isInstanceOf(ExitStatus.Killed.class);
    }
  }

  /** Shows that the test above can fail: this engine needs its JVM to take the breakpoint. */
  @ParameterizedTest
  @ValueSource(strings = {"APPLY", "REVERT"})
  void theTargetOfAStepwisePatcherDiesWithItInTheMiddle(String work) {
    try (PatchedWorkers target = PatchedWorkers.start(2)) {
      killHeldAt(target, work, MIDDLE_STEP, EngineChoice.STEPWISE);
      assertThat(target.fixture().awaitExit(SOON)).isInstanceOf(ExitStatus.Killed.class);
    }
  }

  /** Shows that what a patcher has in its target is seen. */
  @Test
  void aPatcherThatLivesIsSeenInItsTarget() {
    try (PatchedWorkers target = PatchedWorkers.start(2);
        PatcherProcess patcher = target.patcher("APPLY:0", PatcherLoad.NONE)) {
      assertThat(target.isAsBefore()).isTrue();
      patcher.go();
      patcher.awaitLine(PatcherProgram.HELD);
      assertThat(target.isAsBefore()).isFalse();
    }
  }

  static void killHeldAt(PatchedWorkers target, String work, int step, EngineChoice engine) {
    try (PatcherProcess patcher = target.patcher(work + ":" + step, PatcherLoad.NONE, engine)) {
      patcher.go();
      patcher.awaitLine(PatcherProgram.HELD);
    }
  }

  @ParameterizedTest(name = "{0} workers, {1}, {2}")
  @CsvSource({
    "2, TOGGLE, NONE, 4, 1000",
    "8, TOGGLE, NONE, 2, 1000",
    "2, ATTACH, NONE, 4, 200",
    "8, ATTACH, NONE, 2, 200",
    "2, TOGGLE, GARBAGE, 2, 100",
    "8, TOGGLE, GARBAGE, 2, 100",
    "2, TOGGLE, FULL_HEAP, 1, 100",
    "8, TOGGLE, FULL_HEAP, 1, 100",
  })
  void aPatcherKilledAtAnyMomentHarmsNothing(
      int workers, String work, PatcherLoad load, int someRounds, int soakRounds) {
    killAtAnyMoment(
        PatchedWorkers.start(workers), workers, work, load, SOAK ? soakRounds : someRounds);
  }

  static Stream<Arguments> killsOfOneThatDisplaces() {
    return SOAK
        ? Stream.of(
            Arguments.of(2, "TOGGLE", PatcherLoad.NONE, 1000),
            Arguments.of(8, "TOGGLE", PatcherLoad.NONE, 1000),
            Arguments.of(2, "ATTACH", PatcherLoad.NONE, 200),
            Arguments.of(8, "ATTACH", PatcherLoad.NONE, 200),
            Arguments.of(2, "TOGGLE", PatcherLoad.GARBAGE, 100),
            Arguments.of(8, "TOGGLE", PatcherLoad.GARBAGE, 100))
        : Stream.of(
            Arguments.of(2, "TOGGLE", PatcherLoad.NONE, 2),
            Arguments.of(8, "TOGGLE", PatcherLoad.NONE, 1),
            Arguments.of(2, "ATTACH", PatcherLoad.NONE, 1));
  }

  @ParameterizedTest(name = "{0} workers, {1}, {2}")
  @MethodSource("killsOfOneThatDisplaces")
  void aPatcherThatDisplacesKilledAtAnyMomentHarmsNothing(
      int workers, String work, PatcherLoad load, int rounds) {
    killAtAnyMoment(PatchedWorkers.startDisplaced(workers), workers, work, load, rounds);
  }

  private static void killAtAnyMoment(
      PatchedWorkers started, int workers, String work, PatcherLoad load, int rounds) {
    Blows blows = new Blows(workers);
    PatcherProcess next = null;
    try (PatchedWorkers target = started) {
      next = target.patcher(work, load);
      while (blows.dealt() < rounds) {
        try (PatcherProcess patcher = next) {
          patcher.go();
          patcher.awaitLine(PatcherProgram.WORKING);
          if (load == PatcherLoad.FULL_HEAP) {
            // It may give up.
            patcher.awaitLine(PatcherProgram.OUT_OF_MEMORY, PatcherProgram.FAILED);
            blows.deal(target, patcher::kill);
          } else {
            patcher.awaitLine(PatcherProgram.WORKING);
            blows.deal(target, patcher::kill);
            assertThat(patcher.awaitEnd()).as(patcher.toString()).isEqualTo(PatcherProcess.KILLED);
          }
        }
        // The next JVM starts while the target is looked at.
        next = target.patcher(work, load);
        target.assertUnharmed();
      }
    } finally {
      if (next != null) {
        next.close();
      }
      System.out.printf("%d workers, %s, %s: killed %s%n", workers, work, load, blows);
    }
  }
}
