package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PoolFullException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.DetourSite;
import io.github.textpoke.x86.detour.Detours;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Needs the right to trace the programs that it starts. */
final class ProbesTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(120);
  private static final int THREADS = 8;
  private static final long CALLS = 10_000_000;

  private static Fixture probed(String... arguments) {
    return Fixture.start("probed", arguments);
  }

  private static void awaitStopped(Fixture program, int threads) {
    program.awaitCounter("stopped", threads, TIMEOUT);
    program.assertHealthy();
  }

  private static void stop(Fixture program) {
    program.command("stop");
    awaitStopped(program, THREADS);
  }

  /** With rows for all threads, and for fewer: then some share one. */
  @ParameterizedTest
  @ValueSource(ints = {128, 2})
  void countsEveryCallOfAllThreads(int rows) {
    try (Fixture program = probed("--calls", Long.toString(CALLS / THREADS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe =
          Probes.in(process, new ProbePool(16, rows)).at("probed:told", ProbeAction.count());
      probe.arm();
      program.command("go");
      awaitStopped(program, THREADS);
      assertThat(program.counter("calls")).isEqualTo(CALLS);
      assertThat(program.counter("through")).isEqualTo(CALLS);
      assertThat(probe.snapshot().total()).isEqualTo(CALLS);
      probe.disarm();
      assertThat(probe.snapshot().count("told")).isEqualTo(CALLS);
    }
  }

  @Test
  void aCallIsCountedOnceOrNotWhileTheProbeComesAndGoes() {
    try (Fixture program = probed();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("probed:told", ProbeAction.count());
      program.command("go");
      for (int i = 0; i < 100; i++) {
        probe.arm();
        awaitCalls(program, "through");
        probe.disarm();
        awaitCalls(program, "calls");
      }
      stop(program);
      long through = program.counter("through");
      assertThat(through).isBetween(100L, program.counter("calls") - 100);
      assertThat(probe.snapshot().total()).isEqualTo(through);
    }
  }

  /** There threads are told apart by the base of fs, with rows for all or for some of them. */
  @ParameterizedTest
  @ValueSource(ints = {128, 2})
  void countsEveryCallOfAProgramWithoutALoader(int rows) {
    try (Fixture program =
            Fixture.start("probed_static", "--calls", Long.toString(CALLS / THREADS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe =
          Probes.in(process, new ProbePool(16, rows)).at("probed_static:told", ProbeAction.count());
      probe.arm();
      program.command("go");
      awaitStopped(program, THREADS);
      assertThat(program.counter("through")).isEqualTo(CALLS);
      assertThat(probe.snapshot().total()).isEqualTo(CALLS);
    }
  }

  private static void awaitCalls(Fixture program, String counter) {
    program.awaitCounter(counter, program.counter(counter) + 1_000, TIMEOUT);
  }

  @Test
  void twoProbesOfOneFunctionCountTheSameCallsAndGoInAnyOrder() {
    for (boolean firstGoesFirst : new boolean[] {true, false}) {
      try (Fixture program = probed();
          TargetProcess process = TargetProcess.attach(program.pid())) {
        Probes probes = Probes.in(process);
        Probe first = probes.at("probed:told", ProbeAction.count());
        Probe second = probes.at("probed:told", ProbeAction.count());
        first.arm();
        second.arm();
        program.command("go");
        awaitCalls(program, "through");
        (firstGoesFirst ? first : second).disarm();
        awaitCalls(program, "through");
        (firstGoesFirst ? second : first).disarm();
        awaitCalls(program, "calls");
        stop(program);
        long longer = (firstGoesFirst ? second : first).snapshot().total();
        assertThat(longer).isEqualTo(program.counter("through"));
        assertThat((firstGoesFirst ? first : second).snapshot().total()).isBetween(1L, longer - 1);
        assertThat(TargetProcess.status(program.pid()).patches())
            .extracting(PatchStatus::state)
            .containsOnly(PatchStatus.State.RETIRED);
      }
    }
  }

  /** Below, above: which goes first. */
  @ParameterizedTest
  @CsvSource({"true, true", "true, false", "false, true", "false, false"})
  void aProbeAndADetourOfOneFunctionComeAndGoInAnyOrder(
      boolean probeFirst, boolean probeGoesFirst) {
    try (Fixture program = probed();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("probed:told", ProbeAction.count());
      DetourSite site = Detours.in(process).at("probed:told");
      program.command("go");
      if (probeFirst) {
        probe.arm();
      }
      Detour detour = site.toItself();
      if (!probeFirst) {
        probe.arm();
      }
      awaitCalls(program, "through");
      if (probeGoesFirst) {
        probe.disarm();
        detour.revert();
      } else {
        detour.revert();
        awaitCalls(program, "through");
        probe.disarm();
      }
      // The probe can be armed again, whatever has stood there meanwhile.
      awaitCalls(program, "calls");
      probe.arm();
      awaitCalls(program, "through");
      probe.disarm();
      stop(program);
      assertThat(program.counter("through")).isLessThan(program.counter("calls"));
      assertThat(probe.snapshot().total()).isEqualTo(program.counter("through"));
    }
  }

  @Test
  void aProbeOutlivesItsHandleAndAnotherOneRevertsIt() {
    try (Fixture program = probed()) {
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        Probes.in(process).at("probed:told", ProbeAction.count()).arm();
      }
      program.command("go");
      awaitCalls(program, "through");
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        assertThat(process.patches())
            .singleElement()
            .satisfies(
                patch -> {
                  assertThat(patch.label()).isEqualTo("probe of probed:told (count)");
                  patch.revert();
                });
        long through = program.counter("through");
        awaitCalls(program, "calls");
        assertThat(program.counter("through")).isBetween(through, through + THREADS);
      }
      stop(program);
    }
  }

  @Test
  void aPoolThatIsFullIsSaidSoAndNothingIsWritten() {
    try (Fixture program = probed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probes probes = Probes.in(process, new ProbePool(1, 2));
      assertThatThrownBy(() -> probes.at("probed:*", ProbeAction.count()))
          .isInstanceOf(PoolFullException.class)
          .hasMessageContaining("the pool has 1 slots")
          .hasMessageContaining("reserve a larger pool");
      assertThat(TargetProcess.status(program.pid()).patches()).isEmpty();
    }
  }

  @Test
  void toArmMapsNothing() {
    try (Fixture program = probed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("libc:*", ProbeAction.count());
      assertThat(probe.functions()).hasSizeGreaterThan(2_000);
      List<Mapping> ours = ours(program);
      for (int i = 0; i < 3; i++) {
        probe.arm();
        assertThat(ours(program)).isEqualTo(ours);
        probe.disarm();
        assertThat(ours(program)).isEqualTo(ours);
      }
    }
  }

  /** The mappings that stay: code, data, ledger. */
  private static List<Mapping> ours(Fixture program) {
    return MemoryMap.read(program.pid()).mappings().stream()
        .filter(
            each ->
                each.path().startsWith("/memfd:textpoke-out-of-line")
                    || each.path().startsWith("/memfd:textpoke-ledger"))
        .toList();
  }

  @Test
  void whatCanNotBeProbedIsListedWithTheReason() {
    try (Fixture program = probed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("libc:*", ProbeAction.count());
      assertThat(probe.functions()).hasSizeGreaterThan(2_000);
      assertThat(probe.unprobed())
          .isNotEmpty()
          .allSatisfy(each -> assertThat(each.reason()).isNotEmpty());
    }
  }

  @Test
  void aProbeOfWhichNoFunctionCanBeProbedStandsNowhere() {
    try (Fixture program = probed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      // It is shorter than a jump.
      Probe probe = Probes.in(process).at("ld-linux-x86-64:_dl_debug_state", ProbeAction.count());
      assertThat(probe.functions()).isEmpty();
      assertThat(probe.unprobed()).hasSize(1);
      assertThat(probe.arm()).isEmpty();
      assertThat(probe.snapshot().total()).isZero();
      assertThat(TargetProcess.status(program.pid()).patches()).isEmpty();
    }
  }

  @Test
  void aSamplingPeriodIsAnEventOfTheFlightRecorderForEachFunctionThatWasCalled() throws Exception {
    try (Fixture program = probed();
        TargetProcess process = TargetProcess.attach(program.pid());
        Recording recording = new Recording()) {
      Probe probe = Probes.in(process).at("probed:*", ProbeAction.count());
      recording.enable("io.github.textpoke.ProbeSample");
      recording.start();
      probe.arm();
      program.command("go");
      awaitCalls(program, "through");
      probe.sample();
      awaitCalls(program, "through");
      stop(program);
      long total = probe.sample().count("told");
      recording.stop();
      Path file = Files.createTempFile("probes", ".jfr");
      List<RecordedEvent> events;
      try {
        recording.dump(file);
        events = RecordingFile.readAllEvents(file);
      } finally {
        Files.delete(file);
      }
      List<RecordedEvent> told =
          events.stream().filter(each -> each.getString("function").equals("probed:told")).toList();
      assertThat(told).hasSize(2).allMatch(each -> each.getInt("pid") == program.pid());
      assertThat(told.stream().mapToLong(each -> each.getLong("calls")).sum()).isEqualTo(total);
      assertThat(events).noneMatch(each -> each.getString("function").equals("probed:cost"));
    }
  }

  @Test
  void statesAreKept() {
    try (Fixture program = probed("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probes probes = Probes.in(process);
      assertThatThrownBy(() -> probes.at("probed:no_such", ProbeAction.count()))
          .isInstanceOf(NoSuchSymbolException.class);
      Probe probe = probes.at("probed:told", ProbeAction.count());
      assertThatThrownBy(probe::disarm).isInstanceOf(WrongStateException.class);
      probe.arm();
      assertThatThrownBy(probe::arm).isInstanceOf(WrongStateException.class);
      assertThat(probe.isArmed()).isTrue();
      probe.close();
      assertThat(probe.isArmed()).isFalse();
    }
  }
}
