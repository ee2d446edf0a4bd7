package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Needs the right to trace the programs that it starts. With {@code -Dsoak=true} a hundred rounds.
 */
final class LibcProbesTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(300);
  private static final int THREADS = 4;
  private static final int ROUNDS = Boolean.getBoolean("soak") ? 100 : 10;
  private static final int TIMED_ROUNDS = 5;
  private static final long CALLS = Boolean.getBoolean("soak") ? 100_000 : 3_000;

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

  @Test
  void whileThousandsAreProbedNoCallOfAnyIsLost() {
    try (Fixture program =
            Fixture.start(
                "probed",
                "--function",
                "llabs",
                "--busy",
                "--threads",
                Integer.toString(THREADS),
                "--calls",
                Long.toString(CALLS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("libc:*", ProbeAction.count());
      probe.arm();
      program.command("go");
      program.awaitCounter("stopped", THREADS, TIMEOUT);
      program.assertHealthy();
      ProbeSnapshot counted = probe.snapshot();
      for (String name : List.of("llabs", "strtok_r", "qsort", "gmtime_r")) {
        assertThat(counted.count(name)).as(name).isEqualTo(THREADS * CALLS);
      }
    }
  }

  @Test
  void thousandsOfFunctionsAreTimedOnABusyProgramThatGoesOnRight() {
    try (Fixture program =
            Fixture.start(
                "probed", "--function", "llabs", "--busy", "--threads", Integer.toString(THREADS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("libc:*", ProbeAction.latency());
      System.out.printf(
          "%d functions of libc are timed, %d are not%n",
          probe.functions().size(), probe.unprobed().size());
      assertThat(probe.functions()).hasSizeGreaterThan(2_000);
      program.command("go");
      for (int i = 0; i < TIMED_ROUNDS; i++) {
        probe.arm();
        awaitCalls(program, "through");
        probe.disarm();
        awaitCalls(program, "calls");
        program.assertHealthy();
      }
      program.command("stop");
      program.awaitCounter("stopped", THREADS, TIMEOUT);
      program.assertHealthy();
      ProbeSnapshot seen = probe.snapshot();
      // Who was inside as it was armed has met the body at the exit, and none at the entry.
      long through = program.counter("through");
      assertThat(seen.count("llabs")).isBetween(through - THREADS * TIMED_ROUNDS, through);
      for (String name : List.of("llabs", "strtok_r", "qsort", "gmtime_r")) {
        long timed = seen.latencies(name).orElseThrow().count();
        assertThat(timed).as(name).isBetween(1L, seen.count(name));
      }
    }
  }

  private static void awaitCalls(Fixture program, String counter) {
    program.awaitCounter(counter, program.counter(counter) + 10, TIMEOUT);
  }
}
