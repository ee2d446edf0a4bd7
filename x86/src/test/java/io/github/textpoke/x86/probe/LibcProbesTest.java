package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Needs the right to trace the programs that it starts. */
final class LibcProbesTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(300);
  private static final int THREADS = 4;
  private static final int ROUNDS = 30;

  @Test
  void thousandsOfProbesOnABusyProgramComeAndGoTogetherAndCountExactly() {
    try (Fixture program =
            Fixture.start(
                "probed", "--function", "llabs", "--busy", "--threads", Integer.toString(THREADS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("libc:*", ProbeAction.count());
      assertThat(probe.functions()).hasSizeGreaterThan(2_000);
      program.command("go");
      for (int i = 0; i < ROUNDS; i++) {
        probe.arm();
        awaitCalls(program, "through");
        probe.disarm();
        awaitCalls(program, "calls");
        program.assertHealthy();
      }
      program.command("stop");
      program.awaitCounter("stopped", THREADS, TIMEOUT);
      program.assertHealthy();
      ProbeSnapshot counted = probe.snapshot();
      assertThat(counted.count("llabs")).isEqualTo(program.counter("through"));
      assertThat(counted.count("strtok_r")).isBetween(1L, program.counter("calls"));
    }
  }

  private static void awaitCalls(Fixture program, String counter) {
    program.awaitCounter(counter, program.counter(counter) + 10, TIMEOUT);
  }
}
