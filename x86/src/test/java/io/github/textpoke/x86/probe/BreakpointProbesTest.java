package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Probes that stay breakpoints, where no jump can stand. */
@RequiresPtrace
final class BreakpointProbesTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int THREADS = 8;

  private static Fixture stays(String... arguments) {
    return Fixture.start("stays", arguments);
  }

  private static void awaitStopped(Fixture program) {
    program.awaitCounter("stopped", THREADS, TIMEOUT);
    program.assertHealthy();
  }

  @Test
  void countsEveryCallOfAllThreads() {
    try (Fixture program = stays("--calls", "2000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe =
          Probes.in(process).at("stays:tiny", ProbeAction.count(), ProbeStands.BREAKPOINTS_TOO);
      probe.arm();
      program.command("go");
      awaitStopped(program);
      assertThat(program.counter("calls")).isEqualTo(16000);
      assertThat(program.counter("through")).isEqualTo(16000);
      assertThat(probe.snapshot().total()).isEqualTo(16000);
      probe.disarm();
      assertThat(probe.snapshot().count("tiny")).isEqualTo(16000);
      program.assertHealthy();
    }
  }
}
