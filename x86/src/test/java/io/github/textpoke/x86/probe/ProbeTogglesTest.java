package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A counter that comes or goes every 10 ms, while eight threads make ten million calls and more.
 * The program knows of each call whether it went through the probe's code: that often it must have
 * been counted, no more and no less. Needs the right to trace the programs that it starts. With
 * {@code -Dsoak=true} 10,000 changes each.
 */
@Timeout(value = 1, unit = TimeUnit.HOURS)
final class ProbeTogglesTest {
  private static final int CHANGES =
      Integer.getInteger("changes", Boolean.getBoolean("soak") ? 10_000 : 40);
  private static final Duration TIMEOUT = Duration.ofSeconds(120);

  /** Eight threads and whatever else runs share two processors. */
  private static final AttachOptions PATIENT =
      AttachOptions.DEFAULT.withPatience(Duration.ofSeconds(60));

  private static final int THREADS = 8;
  private static final long CALLS = 10_000_000;
  private static final long INTERVAL_NANOS = 10_000_000;

  /** With rows for all threads, and for fewer: then some share one. */
  @ParameterizedTest
  @ValueSource(ints = {128, 2})
  void eachCallThatGoesThroughAProbeIsCountedOnceAndNoOther(int rows) {
    try (Fixture program = Fixture.start("probed");
        TargetProcess process = TargetProcess.attach(program.pid(), PATIENT)) {
      Probe probe =
          Probes.in(process, new ProbePool(16, rows)).at("probed:told", ProbeAction.count());
      program.command("go");
      // Else all calls may be made between two changes that come late.
      program.awaitCounter("calls", 1, TIMEOUT);
      long begun = System.nanoTime();
      long next = begun;
      for (int i = 0; i < CHANGES || program.counter("calls") < CALLS; i++) {
        if (probe.isArmed()) {
          probe.disarm();
        } else {
          probe.arm();
        }
        next = Math.max(next + INTERVAL_NANOS, System.nanoTime());
        LockSupport.parkNanos(next - System.nanoTime());
      }
      long millis = (System.nanoTime() - begun) / 1_000_000;
      program.command("stop");
      program.awaitCounter("stopped", THREADS, TIMEOUT);
      program.assertHealthy();
      long counted = probe.snapshot().total();
      System.out.printf(
          "rows for %d threads: %d changes in %d ms; of %d calls %d went through, %d were counted%n",
          rows, CHANGES, millis, program.counter("calls"), program.counter("through"), counted);
      assertThat(counted).isEqualTo(program.counter("through"));
      assertThat(counted).isBetween(1L, program.counter("calls") - 1);
    }
  }
}
