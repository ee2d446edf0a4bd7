package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The service under load goes from version to version and back. With {@code -Dsoak=true} 200
 * rounds. Needs the right to trace the programs that it starts.
 */
class LivePatchRoundsTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final boolean SOAK = Boolean.getBoolean("soak");
  private static final int ROUNDS = Integer.getInteger("rounds", SOAK ? 200 : 5);
  private static final int CONNECTIONS = 4;
  private static final int ANSWERS = 200;

  private Fixture service;
  private Fixture load;

  private void load(String operations) {
    load =
        Fixture.start(
            "service_load",
            "--service",
            Integer.toString(service.pid()),
            "--connections",
            Integer.toString(CONNECTIONS),
            "--operations",
            operations,
            "--per-second",
            SOAK ? "0" : "10000");
  }

  @BeforeEach
  void start() {
    service = Fixture.start("service");
  }

  @AfterEach
  void nothingWasMixedWrongOrLost() {
    try (Fixture endingService = service;
        Fixture endingLoad = load) {
      assertAnswers("v1");
      assertThat(endingLoad.counter("mixed")).isZero();
      assertThat(endingLoad.counter("lost")).isZero();
      endingLoad.assertHealthy();
      endingService.assertHealthy();
    }
  }

  private void assertAnswers(String counter) {
    load.awaitCounter(counter, load.counter(counter) + ANSWERS, LONG);
  }

  @Test
  void fromOneVersionToTheNextAndBack() {
    load("cuts");
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch two = patches.load(Fixture.program("service_v2.so"));
      LoadedPatch three = patches.load(Fixture.program("service_v3.so"));
      for (int round = 1; round <= ROUNDS; round++) {
        two.enable();
        assertAnswers("v2");
        three.enable();
        assertAnswers("v3");
        assertThat(two.state()).isEqualTo(PatchState.DISABLED); // replaced
        three.disable();
        assertAnswers("v1");
        assertThat(service.counter("init")).isEqualTo(2);
        assertThat(service.counter("pre_patch")).isEqualTo(2L * round);
        assertThat(service.counter("post_patch")).isEqualTo(2L * round);
      }
      assertThat(two.unload()).isEmpty();
      assertThat(three.unload()).isEmpty();
      assertThat(service.counter("fini")).isEqualTo(2);
      assertThat(process.patches()).isEmpty();
    }
  }

  @Test
  void aThousandFunctionsChangeAtOnce() {
    load("u");
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("service_thousand.so"));
      assertThat(patch.description().count()).isEqualTo(1_000);
      patch.enable();
      assertAnswers("unit_v2");
      long before = load.counter("unit_v1");
      assertAnswers("unit_v2");
      // One of each connection may have been under way.
      assertThat(load.counter("unit_v1")).isLessThanOrEqualTo(before + CONNECTIONS);
      patch.disable();
      assertAnswers("unit_v1");
    }
  }
}
