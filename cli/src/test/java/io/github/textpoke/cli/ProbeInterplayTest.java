package io.github.textpoke.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.livepatch.LivePatches;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import io.github.textpoke.x86.probe.Probe;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.Probes;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Probes and other patches of one function: who counts what, and what status says of them. */
@RequiresPtrace
@Timeout(120)
class ProbeInterplayTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int THREADS = 2;
  private static final long SOME = 10_000;

  private static String status(Fixture program) {
    return Run.of("status", program.pid()).assertDone().out();
  }

  private static String line(long id, String state, String label) {
    return "(?m)^" + id + " +" + state + " +" + label;
  }

  /** What another JVM prints; it has ended then. */
  private static String anotherJvm(int exitCode, Object... arguments)
      throws IOException, InterruptedException {
    List<String> words = new ArrayList<>();
    words.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    words.add("--enable-native-access=ALL-UNNAMED");
    words.add("-XX:TieredStopAtLevel=1");
    words.add("-cp");
    words.add(System.getProperty("java.class.path"));
    words.add(Main.class.getName());
    for (Object argument : arguments) {
      words.add(argument.toString());
    }
    Process jvm = new ProcessBuilder(words).redirectErrorStream(true).start();
    String printed = new String(jvm.getInputStream().readAllBytes(), UTF_8);
    assertThat(jvm.waitFor()).as(printed).isEqualTo(exitCode);
    return printed;
  }

  private static Fixture probed() {
    Fixture program = Fixture.start("probed", "--threads", Integer.toString(THREADS));
    program.command("go");
    return program;
  }

  private static Fixture plain() {
    return Fixture.start("plain", "--threads", Integer.toString(THREADS));
  }

  private static void awaitMore(Fixture program, String counter) {
    program.awaitCounter(counter, program.counter(counter) + SOME, LONG);
  }

  /** Of plain: results less what was given. Each worker has left the call that it was in. */
  private static void awaitResults(Fixture program, String result) {
    for (int i = 0; i < THREADS; i++) {
      awaitMore(program, "result_" + result + "_" + i);
    }
    program.assertHealthy();
  }

  private static long count(Probe probe) {
    return probe.snapshot().total();
  }

  /** But for the calls that were under way. */
  private static void assertThatNothingIsCounted(Probe probe, Runnable meanwhile) {
    long before = count(probe);
    meanwhile.run();
    assertThat(count(probe)).isBetween(before, before + THREADS);
  }

  private static void assertThatIsCounted(Probe probe, Runnable meanwhile) {
    long before = count(probe);
    meanwhile.run();
    assertThat(count(probe)).isGreaterThanOrEqualTo(before + SOME - THREADS);
  }

  @Test
  void ofTwoProbesTheOneBelowIsCoveredAndThenLedPast() {
    try (Fixture program = probed();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probes probes = Probes.in(process);
      Probe below = probes.at("probed:told", ProbeAction.count());
      Probe above = probes.at("told", ProbeAction.count());
      below.arm();
      above.arm();

      assertThat(status(program))
          .containsPattern(line(1, "covered by patch 2", "probe of probed:told"))
          .containsPattern(line(2, "applied", "probe of told"));
      assertThatIsCounted(below, () -> awaitMore(program, "through_0"));
      assertThatIsCounted(above, () -> awaitMore(program, "through_0"));
      below.disarm();
      assertThat(status(program))
          .containsPattern(line(1, "reverted under another patch, and led past", "probe of prob"))
          .containsPattern(line(2, "applied", "probe of told"));
      assertThatNothingIsCounted(
          below, () -> assertThatIsCounted(above, () -> awaitMore(program, "through_0")));
      above.disarm();
      assertThat(status(program)).doesNotContain("applied").doesNotContain("led past");
      program.assertHealthy();
    }
  }

  /** A detour to other code: who is below it does not get the calls. */
  @Test
  void aProbeCountsTheCallsThatComeToIt() {
    try (Fixture program = plain();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probes probes = Probes.in(process);
      Probe below = probes.at("plain:plain", ProbeAction.count());
      Probe above = probes.at("plain:plain", ProbeAction.count());
      below.arm();
      Detour detour = Detours.in(process).at("plain:plain").to(program.address("repl_3"));
      above.arm();

      assertThat(status(program))
          .containsPattern(line(1, "covered by patch 3", "probe of plain:plain"))
          .containsPattern(line(2, "covered by patch 3", "detour of plain:plain"))
          .containsPattern(line(3, "applied", "probe of plain:plain"));
      assertThatNothingIsCounted(
          below, () -> assertThatIsCounted(above, () -> awaitResults(program, "03")));
      detour.revert();
      assertThatIsCounted(
          below, () -> assertThatIsCounted(above, () -> awaitResults(program, "01")));
      above.disarm();
      below.disarm();
      awaitResults(program, "01");
    }
  }

  @Test
  void aProbeOfALivePatchedFunctionCountsTheCallsOfWhicheverRuns() throws Exception {
    try (Fixture program = plain()) {
      anotherJvm(
          ExitCode.DONE, "livepatch", "load", program.pid(), Fixture.program("plain_new.so"));
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        LoadedPatch patch = LivePatches.in(process).find(1);
        patch.enable();
        Probe probe = Probes.in(process).at("plain:plain", ProbeAction.count());
        probe.arm();

        assertThat(status(program))
            .containsPattern("(?m)^[0-9]+ +covered by patch [0-9]+ +live patch ")
            .containsPattern("(?m)^[0-9]+ +applied +probe of plain:plain");
        assertThatIsCounted(probe, () -> awaitResults(program, "07"));
        patch.disable();
        assertThatIsCounted(probe, () -> awaitResults(program, "01"));
        patch.enable();
        assertThatIsCounted(probe, () -> awaitResults(program, "07"));
        probe.disarm();
        awaitResults(program, "07");
        patch.disable();
        awaitResults(program, "01");
        assertThat(patch.unload()).isEmpty();
      }
    }
  }

  @Test
  void aProbeUnderALivePatchCountsTheCallsOfTheOldFunction() throws Exception {
    try (Fixture program = plain();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("plain:plain", ProbeAction.count());
      probe.arm();
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("plain_new.so"));
      patch.enable();

      assertThat(status(program))
          .containsPattern("(?m)^[0-9]+ +covered by patch [0-9]+ +probe of plain:plain")
          .containsPattern("(?m)^[0-9]+ +applied +live patch ");
      awaitResults(program, "07");
      assertThatNothingIsCounted(probe, () -> awaitResults(program, "07"));
      anotherJvm(ExitCode.DONE, "livepatch", "disable", program.pid(), patch.id());
      assertThatIsCounted(probe, () -> awaitResults(program, "01"));
      patch.enable();
      probe.disarm();
      awaitResults(program, "07");
      patch.disable();
      awaitResults(program, "01");
      assertThat(patch.unload()).isEmpty();
      assertThat(status(program)).doesNotContain("applied").doesNotContain("led past");
    }
  }

  /** Behind what the jump of a probe displaces. */
  @Test
  void aPatchOfAnotherJvmInsideOfAProbedFunctionStaysAsItIs() throws Exception {
    try (Fixture program = probed()) {
      // cmovs there becomes cmovl, which does the same behind neg.
      anotherJvm(ExitCode.DONE, "apply", program.pid(), "probed:told+6", "--bytes", "480f4cc7");
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        Probe probe = Probes.in(process).at("probed:told", ProbeAction.count());
        probe.arm();

        assertThat(status(program))
            .containsPattern(line(1, "applied", "probed:told\\+"))
            .containsPattern(line(2, "applied", "probe of probed:told"));
        assertThatIsCounted(probe, () -> awaitMore(program, "through_0"));
        anotherJvm(ExitCode.DONE, "revert", program.pid(), 1);
        assertThatIsCounted(probe, () -> awaitMore(program, "through_0"));
        probe.disarm();
        awaitMore(program, "calls_0");
      }
      program.assertHealthy();
    }
  }

  @Test
  void wherePatchesWouldShareBytesTheLaterOneIsRefused() throws Exception {
    try (Fixture program = probed()) {
      // clc for a nop, in the first five bytes.
      anotherJvm(ExitCode.DONE, "apply", program.pid(), "probed:cost+4", "--bytes", "f8");
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        Probe none = Probes.in(process).at("probed:cost", ProbeAction.count());
        assertThat(none.functions()).isEmpty();
        assertThat(none.unprobed())
            .singleElement()
            .satisfies(each -> assertThat(each.reason()).contains("patch"));
        Probe probe = Probes.in(process).at("probed:told", ProbeAction.count());
        probe.arm();
        // neg, which the jump to the probe has displaced.
        String refused =
            anotherJvm(
                ExitCode.REFUSED, "apply", program.pid(), "probed:told+3", "--bytes", "48f7d8");
        assertThat(refused).startsWith("textpoke: ");
        assertThatIsCounted(probe, () -> awaitMore(program, "through_0"));
        probe.disarm();
      }
      program.assertHealthy();
    }
  }
}
