package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.SignalStateException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsafePlanException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.Site;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each cause of failure has its own exception, and each leaves the target as it was. */
@RequiresPtrace
class FailuresTest {
  private static final int SIGTRAP = 5;
  private static final int INT3 = 0xcc;
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final CodeBytes NOP5 = CodeBytes.ofHex("0f 1f 44 00 00");
  private static final CodeBytes OTHER_NOP5 = CodeBytes.ofHex("66 0f 1f 40 00");

  private static PatchPlan replacing(long address) {
    return PatchPlan.of(
        INT3,
        List.of(new Poke(new Site(address, NOP5), 5, OTHER_NOP5, 5, new TrapAction.Rewind())));
  }

  private static CodeBytes bytesAt(Fixture fixture, long address) {
    try (ProcMemReader reader = new ProcMemReader(fixture.pid())) {
      return reader.read(address, 5);
    }
  }

  @Test
  void aProcessThatDoesNotExistIsSaidSo() {
    assertThatExceptionOfType(NoSuchProcessException.class)
        .isThrownBy(() -> TargetProcess.attach(Integer.MAX_VALUE))
        .withMessageContaining(Integer.toString(Integer.MAX_VALUE));
  }

  @Test
  void thisVeryProcessIsRefused() {
    assertThatExceptionOfType(UnsupportedTargetException.class)
        .isThrownBy(() -> TargetProcess.attach((int) ProcessHandle.current().pid()));
  }

  @Test
  void aChildOfThisJvmIsRefusedBecauseItsReaperTakesStopsAway() throws Exception {
    Process child = new ProcessBuilder("sleep", "1000").start();
    try {
      assertThatExceptionOfType(UnsupportedTargetException.class)
          .isThrownBy(() -> TargetProcess.attach((int) child.pid()))
          .withMessageContaining("reaper");
    } finally {
      child.destroyForcibly().waitFor();
    }
  }

  @Test
  void aThirtyTwoBitProgramIsRefused() {
    try (Fixture fixture = Fixture.start("i386")) {
      assertThatExceptionOfType(UnsupportedTargetException.class)
          .isThrownBy(() -> TargetProcess.attach(fixture.pid()))
          .withMessageContaining("64-bit");
    }
  }

  @Test
  void aProcessThatIsTracedIsRefusedAndTheTracerNamed() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess first =
            TargetProcess.attach(
                fixture.pid(),
                AttachOptions.DEFAULT
                    .withEngine(AttachOptions.EngineChoice.STEPWISE)
                    .withLinger(Duration.ofMinutes(1)))) {
      assertThatExceptionOfType(AlreadyTracedException.class)
          .isThrownBy(() -> TargetProcess.attach(fixture.pid()))
          .withMessageContaining("traced by " + ProcessHandle.current().pid());
      assertThat(first.pid()).isEqualTo(fixture.pid());
    }
  }

  @Test
  void whoHasToWaitForAnotherPatcherIsToldForWhomItWorks() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess first =
            TargetProcess.attach(
                fixture.pid(),
                AttachOptions.DEFAULT
                    .withEngine(AttachOptions.EngineChoice.POKER)
                    .withLinger(Duration.ofMinutes(1)))) {
      first.apply(replacing(fixture.address("nop_0"))).revert();
      assertThatExceptionOfType(AlreadyTracedException.class)
          .isThrownBy(
              () ->
                  TargetProcess.attach(
                      fixture.pid(), AttachOptions.DEFAULT.withPatience(Duration.ofMillis(50))))
          .withMessageContaining(
              "the poker of process " + ProcessHandle.current().pid() + " (java)");
    }
  }

  @ParameterizedTest
  @CsvSource({"membarrier,errno", "clone,errno", "membarrier,kill", "clone,kill"})
  void aSeccompFilterIsReadAndNotTried(String call, String answer) {
    try (Fixture fixture = Fixture.start("seccomp", "--deny", call, "--with", answer)) {
      assertThatExceptionOfType(SeccompException.class)
          .isThrownBy(() -> TargetProcess.attach(fixture.pid()))
          .withMessageContaining(call)
          .satisfies(failure -> assertThat(failure.outcome()).isEqualTo(Outcome.UNTOUCHED));
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  /** It runs, so it would be the first to be borrowed. */
  @Test
  void aThreadBelowAFilterOfItsOwnIsNotMadeToClone() {
    try (Fixture fixture =
        Fixture.start(
            "seccomp", "--deny", "clone", "--with", "kill", "--of-one", "--threads", "0")) {
      for (int round = 0; round < 20; round++) {
        try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
          process.apply(LivingTargetsTest.plan(process, fixture)).revert();
        }
      }
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void aFilterThatAllowsAlmostNothingIsRefused() {
    try (Fixture fixture = Fixture.start("seccomp", "--strict-allow")) {
      assertThatExceptionOfType(SeccompException.class)
          .isThrownBy(() -> TargetProcess.attach(fixture.pid()));
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"shared_site", "none_site"})
  void aMappingThatCantBePatchedIsRefused(String name) {
    try (Fixture fixture = Fixture.start("shared_text");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long site = fixture.address(name);
      CodeBytes before = bytesAt(fixture, site);
      assertThatExceptionOfType(UnwritableMappingException.class)
          .isThrownBy(() -> process.apply(replacing(site)))
          .withMessageContaining(Long.toHexString(site));
      assertThat(bytesAt(fixture, site)).isEqualTo(before);
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"private_site", "anonymous_site", "rwx_site"})
  void privateMappingsOfEverySortArePatched(String name) {
    try (Fixture fixture = Fixture.start("shared_text");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      Patch patch = process.apply(replacing(fixture.address(name)));
      assertThat(bytesAt(fixture, fixture.address(name))).isEqualTo(OTHER_NOP5);
      patch.revert();
      assertThat(bytesAt(fixture, fixture.address(name))).isEqualTo(NOP5);
      fixture.assertHealthy();
    }
  }

  @Test
  void aMappingThatIsGoneIsSaidSo() {
    try (Fixture fixture = Fixture.start("shared_text");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      PatchPlan plan = replacing(fixture.address("doomed_site"));
      process.apply(plan).revert();
      fixture.command("unmap");
      fixture.awaitCounter("unmapped", 1, SOON);
      assertThatExceptionOfType(UnwritableMappingException.class)
          .isThrownBy(() -> process.apply(plan));
      fixture.assertHealthy();
    }
  }

  @Test
  void otherBytesThanExpectedAreReportedAndNothingIsWritten() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long site = fixture.address("nop_0");
      PatchPlan plan =
          PatchPlan.of(
              INT3,
              List.of(new Poke(new Site(site, OTHER_NOP5), 5, NOP5, 5, new TrapAction.Rewind())));
      assertThatExceptionOfType(CodeChangedException.class)
          .isThrownBy(() -> process.apply(plan))
          .satisfies(
              failure -> {
                assertThat(failure.found()).isEqualTo(NOP5);
                assertThat(failure.expected()).isEqualTo(OTHER_NOP5);
                assertThat(failure.outcome()).isEqualTo(Outcome.UNTOUCHED);
              });
      assertThat(bytesAt(fixture, site)).isEqualTo(NOP5);
    }
  }

  /** Cut off at each step in turn, by bytes that nobody expects. */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5})
  void aFailureInTheMiddleRollsBack(int at) {
    try (Fixture fixture = Fixture.start("workers", "--threads", "2", "--sites", "nop_62")) {
      long site = fixture.address("nop_62");
      Step.Write broken =
          new Step.Write(site + 1, CodeBytes.of(0xde, 0xad), CodeBytes.of(1, 2), "broken");
      Interference breaking =
          new Interference() {
            @Override
            public ImmutableList<Step> steps(ImmutableList<Step> steps) {
              return ImmutableList.<Step>builder()
                  .addAll(steps.subList(0, at))
                  .add(broken)
                  .addAll(steps.subList(at, steps.size()))
                  .build();
            }
          };
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT, breaking)) {
        for (int round = 0; round < 50; round++) {
          assertThatExceptionOfType(CodeChangedException.class)
              .isThrownBy(() -> process.apply(replacing(site)))
              .satisfies(
                  failure ->
                      assertThat(failure.outcome())
                          .isEqualTo(at == 0 ? Outcome.UNTOUCHED : Outcome.ROLLED_BACK));
          assertThat(bytesAt(fixture, site)).isEqualTo(NOP5);
        }
        assertThat(process.patches()).isEmpty();
      }
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void aMappingThatGoesInTheMiddleIsSaidSo(int at) {
    try (Fixture fixture = Fixture.start("shared_text")) {
      Interference unmapping =
          new Interference() {
            @Override
            public boolean pauses() {
              return true;
            }

            @Override
            public void before(int step) {
              if (step == at) {
                fixture.command("unmap");
                fixture.awaitCounter("unmapped", 1, SOON);
              }
            }
          };
      try (TargetProcess process =
          TargetProcess.attach(
              // No poker goes on before it is unmapped, however busy the machine is.
              fixture.pid(), AttachOptions.DEFAULT.withLease(SOON), unmapping)) {
        PatchPlan plan = replacing(fixture.address("doomed_site"));
        if (at == 5) {
          // Nothing is left to write: the patch is done, on memory that is gone.
          process.apply(plan);
        } else {
          assertThatExceptionOfType(UnwritableMappingException.class)
              .isThrownBy(() -> process.apply(plan))
              .satisfies(failure -> assertThat(failure.outcome()).isEqualTo(Outcome.ROLLED_BACK));
        }
      }
      fixture.assertHealthy();
    }
  }

  @Test
  void aPlanThatIsNotSafeIsNotApplied() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long site = fixture.address("nop_0");
      PatchPlan safe = replacing(site);
      PatchPlan unsafe =
          new PatchPlan(
              INT3,
              safe.pokes(),
              ImmutableList.<Step>builder()
                  .add(safe.steps().get(0))
                  .addAll(safe.steps().subList(2, safe.steps().size()))
                  .build());
      assertThatExceptionOfType(UnsafePlanException.class).isThrownBy(() -> process.apply(unsafe));
      assertThat(bytesAt(fixture, site)).isEqualTo(NOP5);
    }
  }

  /** Its SIGTRAP could not be told from that of a breakpoint of ours. */
  @ParameterizedTest
  @EnumSource(
      value = EngineChoice.class,
      names = {"POKER", "STEPWISE"})
  void aThreadThatBlocksAPendingSigtrapIsNotMadeToMeetABreakpoint(EngineChoice engine) {
    try (Fixture fixture =
        Fixture.start("workers", "--threads", "3", "--sites", "nop_0", "--block-sigtrap", "2")) {
      int blocking =
          Arrays.stream(ProcStatus.threads(fixture.pid()))
              .filter(tid -> (ProcStatus.read(tid).blocked() & ProcStatus.SIGTRAP_BIT) != 0)
              .findFirst()
              .orElseThrow();
      assertThat(Kernel.sendSignal(fixture.pid(), blocking, SIGTRAP)).isZero();
      AttachOptions options = AttachOptions.DEFAULT.withEngine(engine);
      assertThatExceptionOfType(SignalStateException.class)
          .isThrownBy(
              () -> {
                try (TargetProcess process = TargetProcess.attach(fixture.pid(), options)) {
                  process.apply(WorkerSites.plan(process, fixture, "nop_0"));
                }
              })
          .withMessageContaining("thread " + blocking)
          .matches(refusal -> refusal.outcome() == Outcome.UNTOUCHED);
      assertThat(bytesAt(fixture, fixture.address("nop_0"))).isEqualTo(NOP5);
      fixture.assertHealthy();
    }
  }

  @Test
  void aBreakpointThatNobodyWouldTakeIsRefused() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long site = fixture.address("nop_0");
      CodeBytes armed = NOP5.with(0, CodeBytes.of(INT3));
      assertThatExceptionOfType(SignalStateException.class)
          .isThrownBy(
              () ->
                  process.apply(
                      PatchPlan.of(
                          INT3,
                          List.of(
                              new Poke(
                                  new Site(site, NOP5), 5, armed, 1, new TrapAction.PassOn())))));
      assertThat(bytesAt(fixture, site)).isEqualTo(NOP5);
      fixture.assertHealthy();
    }
  }

  @Test
  void aBreakpointThatStaysIsRefusedWithoutAPoker() {
    AttachOptions options = AttachOptions.DEFAULT.withEngine(EngineChoice.STEPWISE);
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid(), options)) {
      long site = fixture.address("nop_0");
      CodeBytes armed = NOP5.with(0, CodeBytes.of(INT3));
      assertThatExceptionOfType(UnsupportedPlanException.class)
          .isThrownBy(
              () ->
                  process.apply(
                      PatchPlan.of(
                          INT3,
                          List.of(
                              new Poke(
                                  new Site(site, NOP5),
                                  5,
                                  armed,
                                  1,
                                  new TrapAction.Redirect(fixture.address("repl")))))))
          .withMessageContaining("needs the poker");
      assertThat(bytesAt(fixture, site)).isEqualTo(NOP5);
      fixture.assertHealthy();
    }
  }

  @Test
  void severalInstructionsAreNotDisplacedWithoutTheirCopyInTheTarget() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long site = fixture.address("nop_0");
      CodeBytes nopAndLea = NOP5.concat(CodeBytes.ofHex("48 8d 47 01"));
      Poke poke =
          Poke.displacing(
              new Site(site, nopAndLea),
              9,
              List.of(Boundary.copiedTo(5, 0x1005)),
              OTHER_NOP5.concat(CodeBytes.filled(4, 0x90)),
              5,
              new TrapAction.Redirect(0x1000));
      PatchPlan plan = PatchPlan.of(INT3, List.of(poke));
      for (PatchPlan either : List.of(plan, plan.inverse())) {
        assertThatExceptionOfType(UnsupportedPlanException.class)
            .isThrownBy(() -> process.apply(either))
            .withMessageContaining("no code is mapped at 0x1005")
            .satisfies(refusal -> assertThat(refusal.outcome()).isEqualTo(Outcome.UNTOUCHED));
      }
      assertThat(bytesAt(fixture, site)).isEqualTo(NOP5);
      assertThat(process.patches()).isEmpty();
      fixture.assertHealthy();
    }
  }

  @Test
  void aTargetThatEndsMeanwhileIsSaidToBeGone() {
    Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
    try (fixture;
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      PatchPlan plan = WorkerSites.plan(process, fixture, "nop_0");
      int[] pokes = {0};
      assertThatExceptionOfType(TargetGoneException.class)
          .isThrownBy(
              () ->
                  process.toggle(
                      plan,
                      1_000_000,
                      Duration.ZERO,
                      (nanos, window, traps, parked) -> {
                        if (pokes[0]++ == 100) {
                          fixture.signal("SIGKILL");
                        }
                        return true;
                      }))
          .satisfies(failure -> assertThat(failure.outcome()).isEqualTo(Outcome.GONE));
    }
  }

  @Test
  void aTargetThatIsKilledAtAnyMomentIsSaidToBeGone() {
    SplittableRandom random = new SplittableRandom(7);
    int saidSo = 0;
    for (int round = 0; round < 40; round++) {
      try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0")) {
        long moment = System.nanoTime() + random.nextLong(12_000_000);
        Thread killer =
            new Thread(
                () -> {
                  while (System.nanoTime() < moment) {
                    Thread.onSpinWait();
                  }
                  fixture.signal("SIGKILL");
                });
        killer.start();
        try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
          process.toggle(
              replacing(fixture.address("nop_0")),
              1_000_000,
              Duration.ZERO,
              (nanos, window, traps, parked) -> true);
        } catch (TargetGoneException | NoSuchProcessException ended) {
          saidSo++;
        } catch (PatchException looksOtherwise) {
          // In the moment in which it ends it may look like a process that forbids things.
          assertThat(looksOtherwise.outcome()).isIn(Outcome.UNTOUCHED, Outcome.GONE);
        }
      }
    }
    assertThat(saidSo).isGreaterThan(30);
  }

  @Test
  void aTargetThatRunsAnotherProgramIsSaidSo() {
    try (Fixture fixture = Fixture.start("forker");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      PatchPlan plan = LivingTargetsTest.plan(process, fixture);
      int[] pokes = {0};
      assertThatExceptionOfType(TargetExecedException.class)
          .isThrownBy(
              () ->
                  process.toggle(
                      plan,
                      1_000_000,
                      Duration.ZERO,
                      (nanos, window, traps, parked) -> {
                        if (pokes[0]++ == 100) {
                          fixture.command("exec");
                        }
                        return true;
                      }))
          .satisfies(failure -> assertThat(failure.outcome()).isEqualTo(Outcome.GONE));
      fixture.awaitCounter("generation", 1, SOON);
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void aPatchIsRevertedOnceAndAClosedProcessTakesNoCommands() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0")) {
      TargetProcess process = TargetProcess.attach(fixture.pid());
      Patch patch = process.apply(WorkerSites.plan(process, fixture, "nop_0"));
      assertThat(process.patches()).containsExactly(patch);
      patch.revert();
      assertThat(patch.isReverted()).isTrue();
      assertThatExceptionOfType(WrongStateException.class).isThrownBy(patch::revert);
      process.close();
      assertThatExceptionOfType(WrongStateException.class)
          .isThrownBy(() -> process.apply(replacing(fixture.address("nop_0"))));
      fixture.assertHealthy();
    }
  }
}
