package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Needs the right to trace the programs that it starts. */
class ServedPatchTest {
  private static final Duration LONG = Duration.ofSeconds(30);

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
  }

  @AfterEach
  void stop() {
    load.close();
    service.close();
  }

  private static Path file(String name) {
    return Fixture.program(name);
  }

  @Test
  void everyAnswerIsWhollyOfOneVersion() {
    load.awaitCounter("v1", 1000, LONG);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch two = patches.load(file("service_v2.so"));
      assertThat(two.state()).isEqualTo(PatchState.REGISTERED);
      two.enable();
      assertThat(two.state()).isEqualTo(PatchState.ENABLED);
      load.awaitCounter("v2", 1000, LONG);
      two.disable();
      long before = load.counter("v1");
      load.awaitCounter("v1", before + 1000, LONG);
      System.out.println(two.notes());
      System.out.println("held by " + two.unload());
    }
    service.assertHealthy();
    load.assertHealthy();
    assertThat(load.counter("mixed")).isZero();
    assertThat(load.counter("lost")).isZero();
  }
}
