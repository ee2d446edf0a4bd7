package io.github.textpoke.apply;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.util.stream.Stream;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A patcher is killed before each step of its plans. Each case has a target and a JVM of its own,
 * and waits for most of its time, so several run at once.
 */
@RequiresPtrace
class PatcherDeathStepsTest {
  private static final boolean SOAK = Boolean.getBoolean("soak");
  private static final int STEPS = 6;

  /** Four breakpoints, an evacuation, the tail, the first byte, and the core syncs. */
  private static final int DISPLACING_STEPS = 10;

  /** A breakpoint, the tail, the first byte, and the core syncs. */
  private static final int RESTORING_STEPS = 6;

  static Stream<Arguments> everyStepBoundary() {
    return (SOAK ? Stream.of(2, 8) : Stream.of(2))
        .flatMap(
            workers ->
                Stream.of("APPLY", "REVERT")
                    .flatMap(
                        work ->
                            Stream.iterate(0, step -> step <= STEPS, step -> step + 1)
                                .map(step -> Arguments.of(workers, work, step))));
  }

  @Execution(ExecutionMode.CONCURRENT)
  @ParameterizedTest(name = "{0} workers, {1} before step {2}")
  @MethodSource("everyStepBoundary")
  void aPatcherKilledBetweenTwoStepsHarmsNothing(int workers, String work, int step) {
    try (PatchedWorkers target = PatchedWorkers.start(workers)) {
      PatcherDeathTest.killHeldAt(target, work, step, EngineChoice.POKER);
      target.assertUnharmed();
    }
  }

  static Stream<Arguments> everyStepBoundaryOfADisplacingPlan() {
    return (SOAK ? Stream.of(2, 8) : Stream.of(2))
        .flatMap(
            workers ->
                Stream.concat(
                    stepsOf(workers, "APPLY", DISPLACING_STEPS),
                    stepsOf(workers, "REVERT", RESTORING_STEPS)));
  }

  private static Stream<Arguments> stepsOf(int workers, String work, int steps) {
    return Stream.iterate(0, step -> step <= steps, step -> step + 1)
        .map(step -> Arguments.of(workers, work, step));
  }

  @Execution(ExecutionMode.CONCURRENT)
  @ParameterizedTest(name = "{0} workers, {1} before step {2}")
  @MethodSource("everyStepBoundaryOfADisplacingPlan")
  void aPatcherKilledBetweenTwoStepsOfADisplacingPlanHarmsNothing(
      int workers, String work, int step) {
    try (PatchedWorkers target = PatchedWorkers.startDisplaced(workers)) {
      PatcherDeathTest.killHeldAt(target, work, step, EngineChoice.POKER);
      target.assertUnharmed();
    }
  }
}
