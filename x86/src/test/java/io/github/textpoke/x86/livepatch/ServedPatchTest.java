package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A service under load goes from one version to another and back. Needs the right to trace the
 * programs that it starts. With {@code -Dsoak=true} 200 rounds.
 */
@Timeout(value = 1, unit = TimeUnit.HOURS)
class ServedPatchTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int ROUNDS =
      Integer.getInteger("rounds", Boolean.getBoolean("soak") ? 200 : 5);
  private static final int ANSWERS = 200;

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
            "4",
            "--operations",
            "cuts");
    load.awaitCounter("v1", ANSWERS, LONG);
  }

  @AfterEach
  void allAnswersWereRight() {
    try (Fixture loading = load;
        Fixture serving = service) {
      serving.assertHealthy();
      loading.assertHealthy();
      assertThat(loading.counter("mixed")).as("answers of several versions").isZero();
      assertThat(loading.counter("lost")).as("lost connections").isZero();
      assertThat(loading.counter("wrong")).as("wrong answers").isZero();
    }
  }

  private void awaitMore(String version) {
    load.awaitCounter(version, load.counter(version) + ANSWERS, LONG);
  }

  @Test
  void everyAnswerIsWhollyOfOneVersion() {
    long tries = 0;
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch two = patches.load(Fixture.program("service_v2.so"));
      LoadedPatch three = patches.load(Fixture.program("service_v3.so"));
      int[] blocked = new int[1];
      for (int round = 0; round < ROUNDS; round++) {
        TransitionListener listener = (count, blockers) -> blocked[0]++;
        two.enable(listener);
        awaitMore("v2");
        three.enable(listener);
        assertThat(two.state()).isEqualTo(PatchState.DISABLED);
        awaitMore("v3");
        three.disable(listener);
        awaitMore("v1");
        assertThat(load.counter("mixed")).as("answers of several versions").isZero();
      }
      tries = blocked[0];
      System.err.println(
          three.notes().object()
              + " "
              + three.notes().text()
              + " "
              + three.notes().gates().stream().map(a -> a.memory()).toList()
              + " "
              + Long.toHexString(three.notes().frames())
              + " start "
              + Long.toHexString(three.notes().object().start()));
      try {
        System.err.println(
            java.nio.file.Files.readString(
                java.nio.file.Path.of("/proc/" + service.pid() + "/maps")));
      } catch (Exception e) {
      }
      assertThat(three.unload()).as("what holds version 3").isEmpty();
      assertThat(two.unload()).as("what holds version 2").isEmpty();
      assertThat(patches.list()).isEmpty();
    }
    System.out.printf("%d rounds of 3 transitions, %d tries were in vain%n", ROUNDS, tries);
  }
}
