package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.probe.ProbeSnapshot.Counted;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Needs the right to trace the programs that it starts. */
final class LatencyTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(120);
  private static final int THREADS = 8;
  private static final int ROUNDS = 20_000;

  /** What workers call. */
  private static final List<String> CALLED =
      List.of(
          "leaf",
          "branchy",
          "tail",
          "recurse",
          "through",
          "switches",
          "real",
          "single",
          "longs",
          "doubles",
          "mixed",
          "big",
          "extended",
          "passes",
          "catches");

  private static Fixture timed(String... arguments) {
    return Fixture.start("timed", arguments);
  }

  private static void awaitStopped(Fixture program, int threads) {
    program.awaitCounter("stopped", threads, TIMEOUT);
    program.assertHealthy();
    assertThat(program.counter("wrong")).isZero();
  }

  private static void awaitRounds(Fixture program) {
    program.awaitCounter("rounds", program.counter("rounds") + 100, TIMEOUT);
  }

  private static long timed(ProbeSnapshot snapshot, String function) {
    return snapshot.latencies(function).orElseThrow().count();
  }

  @Test
  void allFunctionsOfTheProgramAreProbed() {
    try (Fixture program = timed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ProbeAction.latency());
      for (String name : CALLED) {
        assertThat(probe.functions())
            .as("%s among %s", name, probe.unprobed())
            .anyMatch(function -> function.isCalled(name));
      }
      assertThat(probe.unprobed()).allSatisfy(each -> assertThat(each.reason()).isNotEmpty());
    }
  }

  /** With rows for all threads, and for fewer: then some share one. */
  @ParameterizedTest
  @ValueSource(ints = {128, 2})
  void everyCallIsCountedAndTimedAndReturnsWhatItDid(int rows) {
    try (Fixture program = timed("--calls", Integer.toString(ROUNDS / THREADS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe =
          Probes.in(process, new ProbePool(4096, rows)).at("timed:*", ProbeAction.latency());
      probe.arm();
      program.command("go");
      awaitStopped(program, THREADS);
      ProbeSnapshot seen = probe.snapshot();
      probe.disarm();
      for (String name : CALLED) {
        assertThat(seen.count(name)).as(name).isEqualTo(program.counter(name));
        // Two calls at once may share a cell.
        assertThat(timed(seen, name))
            .as(name)
            .isLessThanOrEqualTo(seen.count(name))
            .isGreaterThan(seen.count(name) * 9 / 10);
      }
      assertThat(probe.snapshot().functions())
          .extracting(Counted::count)
          .isEqualTo(seen.functions().stream().map(Counted::count).toList());
    }
  }

  @Test
  void aSingleThreadsCallsAreAllTimed() {
    try (Fixture program = timed("--threads", "1", "--calls", "2000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ProbeAction.latency());
      probe.arm();
      program.command("go");
      awaitStopped(program, 1);
      ProbeSnapshot seen = probe.snapshot();
      for (String name : CALLED) {
        assertThat(timed(seen, name)).as(name).isEqualTo(program.counter(name));
      }
      // The outer ones of a recursion last as long as all that they call.
      Latencies recursion = seen.latencies("recurse").orElseThrow();
      assertThat(recursion.quantile(0)).isLessThan(recursion.max());
    }
  }

  @Test
  void whatIsLeftByLongjmpOrAnExceptionIsCountedAndNotTimed() {
    try (Fixture program = timed("--leave", "--threads", "1", "--calls", "5000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ProbeAction.latency());
      probe.arm();
      program.command("go");
      awaitStopped(program, 1);
      ProbeSnapshot seen = probe.snapshot();
      for (String name : CALLED) {
        assertThat(seen.count(name)).as(name).isEqualTo(program.counter(name));
        assertThat(timed(seen, name)).as(name).isEqualTo(program.counter(name + "_returned"));
      }
      assertThat(timed(seen, "passes")).isLessThan(seen.count("passes"));
      assertThat(timed(seen, "catches")).isLessThan(seen.count("catches"));
    }
  }

  @Test
  void handlersOfSignalsMayCallTheSameFunctionsAtAnyInstruction() {
    try (Fixture program = timed("--alarms", "100", "--stacks", "--leave");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ProbeAction.latency());
      probe.arm();
      program.command("go");
      program.awaitCounter("signals", 20_000, TIMEOUT);
      program.command("stop");
      awaitStopped(program, THREADS);
      ProbeSnapshot seen = probe.snapshot();
      for (String name : CALLED) {
        assertThat(seen.count(name)).as(name).isEqualTo(program.counter(name));
        long returned = program.counter(name + "_returned");
        assertThat(timed(seen, name)).as(name).isBetween(returned * 9 / 10, returned);
      }
    }
  }

  @Test
  void itComesAndGoesWhileTheProgramRuns() {
    try (Fixture program = timed("--alarms", "5000", "--leave");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ProbeAction.latency());
      program.command("go");
      for (int i = 0; i < 100; i++) {
        probe.arm();
        awaitRounds(program);
        probe.disarm();
      }
      ProbeSnapshot last = probe.snapshot();
      awaitRounds(program);
      program.command("stop");
      awaitStopped(program, THREADS);
      ProbeSnapshot seen = probe.snapshot();
      for (String name : CALLED) {
        assertThat(seen.count(name))
            .as(name)
            .isBetween(last.count(name), program.counter(name) - 1);
        assertThat(timed(seen, name)).as(name).isBetween(1_000L, seen.count(name));
      }
      assertThat(TargetProcess.status(program.pid()).patches())
          .extracting(PatchStatus::state)
          .containsOnly(PatchStatus.State.RETIRED);
    }
  }

  @Test
  void aCallTakesNoLessThanItDid() {
    try (Fixture program = timed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:sleeps", ProbeAction.latency());
      probe.arm();
      for (int i = 1; i <= 5; i++) {
        program.command("sleep 20000");
        program.awaitCounter("slept", i, TIMEOUT);
      }
      Latencies times = probe.snapshot().latencies("sleeps").orElseThrow();
      assertThat(times.count()).isEqualTo(5);
      assertThat(times.quantile(0)).isGreaterThanOrEqualTo(TimeUnit.MILLISECONDS.toNanos(20));
      assertThat(times.p50()).isLessThanOrEqualTo(times.p99());
      assertThat(times.p99()).isEqualTo(times.max());
    }
  }

  @Test
  void aCallThatBeganBeforeIsNotTimed() {
    try (Fixture program = timed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:sleeps", ProbeAction.latency());
      probe.arm();
      program.command("sleep 1000");
      program.awaitCounter("slept", 1, TIMEOUT);
      probe.disarm();
      program.command("sleep 400000");
      program.awaitCounter("asleep", 2, TIMEOUT);
      probe.arm();
      program.awaitCounter("slept", 2, TIMEOUT);
      assertThat(probe.snapshot().count("sleeps")).isEqualTo(1);
      assertThat(timed(probe.snapshot(), "sleeps")).isEqualTo(1);
      program.command("sleep 1000");
      program.awaitCounter("slept", 3, TIMEOUT);
      assertThat(timed(probe.snapshot(), "sleeps")).isEqualTo(2);
    }
  }

  @Test
  void aFunctionThatIsPatchedAlreadyIsLeftOut() {
    try (Fixture program = timed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours.in(process).at("timed:branchy").toItself();
      Probe probe = Probes.in(process).at("timed:branchy", ProbeAction.latency());
      assertThat(probe.functions()).isEmpty();
      assertThat(probe.unprobed())
          .singleElement()
          .satisfies(each -> assertThat(each.reason()).contains("another patch stands"));
    }
  }

  @Test
  void aCounterAndADetourMayStandOverItAndGoInAnyOrder() {
    for (boolean firstGoesFirst : new boolean[] {true, false}) {
      try (Fixture program = timed();
          TargetProcess process = TargetProcess.attach(program.pid())) {
        Probes probes = Probes.in(process);
        Probe latency = probes.at("timed:branchy", ProbeAction.latency());
        latency.arm();
        Probe counter = probes.at("timed:branchy", ProbeAction.count());
        counter.arm();
        program.command("go");
        awaitRounds(program);
        (firstGoesFirst ? latency : counter).disarm();
        awaitRounds(program);
        (firstGoesFirst ? counter : latency).disarm();
        awaitRounds(program);
        program.command("stop");
        awaitStopped(program, THREADS);
        ProbeSnapshot seen = latency.snapshot();
        assertThat(timed(seen, "branchy")).isBetween(1L, seen.count("branchy"));
        long longer = (firstGoesFirst ? counter : latency).snapshot().total();
        assertThat((firstGoesFirst ? latency : counter).snapshot().total()).isLessThan(longer);
      }
    }
  }
}
