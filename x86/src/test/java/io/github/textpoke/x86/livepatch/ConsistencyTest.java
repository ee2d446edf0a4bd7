package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * That clients of the service notice an answer of several versions: where a change is not held back
 * until no thread is in the functions there are such answers, and where it is there are none.
 */
@RequiresPtrace
class ConsistencyTest {
  private static final Duration LONG = Duration.ofSeconds(120);
  private static final int ANSWERS = 20;
  private static final int ROUNDS = 10;
  private static final int CONNECTIONS = 8;

  private Fixture service;
  private Fixture load;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
    load =
        Fixture.start(
            "service_load",
            "--service",
            Integer.toString(service.pid()),
            "--connections",
            Integer.toString(CONNECTIONS),
            "--operations",
            "t");
  }

  @AfterEach
  void stop() {
    try (Fixture endingService = service;
        Fixture endingLoad = load) {
      endingLoad.assertHealthy();
      assertThat(endingLoad.counter("lost")).isZero();
      endingService.assertHealthy();
    }
  }

  private void round(LoadedPatch patch) {
    patch.enable();
    load.awaitCounter("v2", load.counter("v2") + ANSWERS, LONG);
    patch.disable();
    load.awaitCounter("v1", load.counter("v1") + ANSWERS, LONG);
  }

  /** Each answer that is under way now is counted then, and its thread has left the functions. */
  private void awaitEachConnection() {
    load.awaitEach("answers", CONNECTIONS, 2, LONG);
  }

  @Test
  void answersAreMixedWithoutConsistencyAndNotWithIt() {
    Path file = Fixture.program("service_v2.so");
    LivePatch described = Descriptions.of(file);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch immediate =
          Descriptions.load(patches, file, Descriptions.with(Consistency.IMMEDIATE, described));
      long deadline = System.nanoTime() + LONG.toNanos();
      int rounds = 0;
      while (load.counter("mixed") == 0) {
        assertThat(System.nanoTime() - deadline).as("mixed in %s rounds", rounds).isNegative();
        round(immediate);
        rounds++;
      }
      awaitEachConnection();
      assertThat(immediate.unload()).isEmpty();

      LoadedPatch whenUnused =
          Descriptions.load(patches, file, Descriptions.with(Consistency.WHEN_UNUSED, described));
      long mixed = load.counter("mixed");
      for (int i = 0; i < Math.max(rounds, ROUNDS); i++) {
        round(whenUnused);
      }
      awaitEachConnection();
      assertThat(load.counter("mixed")).isEqualTo(mixed);
    }
  }
}
