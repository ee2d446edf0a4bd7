package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.NoSuchPatchException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PatchCutOffException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.Site;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.RecoveredPatch.Result;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.linux.AdvisoryLock;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The ledger in a living target: whoever has patched it, and however that ended. */
@RequiresPtrace
@Timeout(180)
class PatchLedgerTest {
  private static final int INT3 = 0xcc;
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final CodeBytes NOP5 = CodeBytes.ofHex("0f 1f 44 00 00");
  private static final CodeBytes OTHER_NOP5 = CodeBytes.ofHex("66 0f 1f 40 00");
  private static final CodeBytes FOREIGN = CodeBytes.ofHex("90 90 90 90 90");

  /** Bytes from one site of a batch to the next. */
  private static final int BATCH_STEP = 64;

  private static Fixture workers() {
    return Fixture.start("workers", "--sites", "nop_0");
  }

  private static PatchPlan replacing(long address) {
    return PatchPlan.of(
        INT3,
        List.of(new Poke(new Site(address, NOP5), 5, OTHER_NOP5, 5, new TrapAction.Rewind())));
  }

  private static CodeBytes bytesAt(Fixture fixture, String site) {
    try (ProcMemReader reader = new ProcMemReader(fixture.pid())) {
      return reader.read(fixture.address(site), 5);
    }
  }

  /** As another tool would, that knows nothing of us. */
  private static void write(Fixture fixture, long address, CodeBytes bytes) {
    try (ProcMem memory = TargetMemory.open(fixture.pid())) {
      assertThat(memory.write(address, bytes)).isEqualTo(bytes.length());
    }
  }

  private static PatchStatus onlyPatch(int pid) {
    LedgerStatus status = TargetProcess.status(pid);
    assertThat(status.damaged()).isEmpty();
    assertThat(status.patches()).hasSize(1);
    return status.patches().get(0);
  }

  private static void assertNoPatch(int pid) {
    assertThat(TargetProcess.status(pid))
        .isEqualTo(new LedgerStatus(ImmutableList.of(), ImmutableList.of()));
  }

  @Test
  void aProcessThatNobodyHasPatchedHasNoPatches() {
    try (Fixture fixture = workers()) {
      assertNoPatch(fixture.pid());
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        assertThat(process.patches()).isEmpty();
        assertThat(process.recover()).isEmpty();
      }
      assertNoPatch(fixture.pid());
    }
  }

  @Test
  void aProcessThatDoesNotExistHasNoStatus() {
    assertThatExceptionOfType(NoSuchProcessException.class)
        .isThrownBy(() -> TargetProcess.status(Integer.MAX_VALUE));
  }

  @ParameterizedTest
  @EnumSource(names = {"POKER", "STEPWISE"})
  void patchesAreListedAndRevertedThroughAnotherHandle(EngineChoice engine) {
    try (Fixture fixture = workers()) {
      Instant before = Instant.now().minusMillis(1);
      try (TargetProcess first =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        first.apply(WorkerSites.plan(first, fixture, "nop_0"), "a site that runs");
        first.apply(replacing(fixture.address("nop_62")));
      }
      try (TargetProcess second =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        ImmutableList<Patch> patches = second.patches();
        assertThat(patches).extracting(Patch::id).containsExactly(1L, 2L);
        assertThat(patches)
            .extracting(Patch::label)
            .containsExactly("a site that runs", "workers:nop_62");
        assertThat(patches.get(1).plan()).isEqualTo(replacing(fixture.address("nop_62")));
        assertThat(patches)
            .allSatisfy(
                patch -> {
                  assertThat(patch.time()).isBetween(before, Instant.now());
                  assertThat(patch.who()).contains("" + ProcessHandle.current().pid());
                  assertThat(patch.report()).isEmpty();
                });
        assertThat(second.code("nop_62").originals())
            .containsExactly(new Site(fixture.address("nop_62"), NOP5));
        patches.get(0).revert();
        assertThat(second.patches()).extracting(Patch::id).containsExactly(2L);
        second.patch(2).revert();
        assertThat(second.patches()).isEmpty();
      }
      assertNoPatch(fixture.pid());
      assertThat(bytesAt(fixture, "nop_0")).isEqualTo(NOP5);
      assertThat(bytesAt(fixture, "nop_62")).isEqualTo(NOP5);
      fixture.awaitCounter("results_old", fixture.counter("results_old") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void statusTellsWhatStandsAtEachSite() {
    try (Fixture fixture = workers();
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      process.apply(replacing(fixture.address("nop_62")), "a label");
      PatchStatus status = onlyPatch(fixture.pid());
      assertThat(status.state()).isEqualTo(PatchStatus.State.APPLIED);
      assertThat(status.entry().note().label()).isEqualTo("a label");
      Poke poke = status.entry().plan().pokes().get(0);
      assertThat(status.sites())
          .containsExactly(new FoundSite(poke, OTHER_NOP5, FoundSite.State.NEW));
    }
  }

  @Test
  void aPatchThatIsNotThereIsRefusedAndThoseThatAreAreNamed() {
    try (Fixture fixture = workers();
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThatExceptionOfType(NoSuchPatchException.class)
          .isThrownBy(() -> process.patch(1))
          .withMessageContaining("its patches: none");
      process.apply(replacing(fixture.address("nop_62")));
      process.apply(replacing(fixture.address("nop_60")));
      assertThatExceptionOfType(NoSuchPatchException.class)
          .isThrownBy(() -> process.patch(3))
          .withMessageContaining("no patch 3 in process " + fixture.pid())
          .withMessageContaining("its patches: 1, 2")
          .satisfies(
              failure -> {
                assertThat(failure.ids()).containsExactly(1L, 2L);
                assertThat(failure.outcome()).isEqualTo(Outcome.UNTOUCHED);
              });
    }
  }

  @Test
  void aPatchThatAnotherHandleHasRevertedStaysReverted() {
    try (Fixture fixture = workers();
        TargetProcess first = TargetProcess.attach(fixture.pid());
        TargetProcess second = TargetProcess.attach(fixture.pid())) {
      Patch patch = first.apply(replacing(fixture.address("nop_62")));
      second.patch(patch.id()).revert();
      assertThatExceptionOfType(WrongStateException.class)
          .isThrownBy(patch::revert)
          .withMessageContaining("somebody has reverted it");
      assertNoPatch(fixture.pid());
      assertThat(bytesAt(fixture, "nop_62")).isEqualTo(NOP5);
    }
  }

  @Test
  void aPlanThatIsRefusedByTheBytesLeavesNoRecord() {
    try (Fixture fixture = workers();
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      write(fixture, fixture.address("nop_62"), FOREIGN);
      assertThatExceptionOfType(CodeChangedException.class)
          .isThrownBy(() -> process.apply(replacing(fixture.address("nop_62"))));
      assertNoPatch(fixture.pid());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"POKER", "STEPWISE"})
  void aSiteThatAnotherToolHasChangedIsReportedAndNotOverwritten(EngineChoice engine) {
    try (Fixture fixture = workers();
        TargetProcess process =
            TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
      long site = fixture.address("nop_62");
      Patch patch = process.apply(replacing(site));
      write(fixture, site, FOREIGN);
      PatchStatus status = onlyPatch(fixture.pid());
      assertThat(status.state()).isEqualTo(PatchStatus.State.CHANGED);
      assertThat(status.sites().get(0).found()).isEqualTo(FOREIGN);
      assertThatExceptionOfType(CodeChangedException.class)
          .isThrownBy(patch::revert)
          .satisfies(
              failure -> {
                assertThat(failure.found()).isEqualTo(FOREIGN);
                assertThat(failure.outcome()).isEqualTo(Outcome.UNTOUCHED);
              });
      assertThat(bytesAt(fixture, "nop_62")).isEqualTo(FOREIGN);
      assertThat(onlyPatch(fixture.pid())).isEqualTo(status);

      write(fixture, site, OTHER_NOP5);
      assertThat(onlyPatch(fixture.pid()).state()).isEqualTo(PatchStatus.State.APPLIED);
      patch.revert();
      assertNoPatch(fixture.pid());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1,APPLYING,POKER",
    "2,APPLYING,POKER",
    "3,APPLYING,POKER",
    "4,APPLYING,POKER",
    "5,APPLYING,POKER",
    "1,REVERTING,POKER",
    "2,REVERTING,POKER",
    "3,REVERTING,POKER",
    "4,REVERTING,POKER",
    "5,REVERTING,POKER",
    "3,APPLYING,STEPWISE",
    "3,REVERTING,STEPWISE",
  })
  void aPatchThatItsPatcherWasKilledInIsRecovered(
      int step, Progress.State direction, EngineChoice engine) {
    try (Fixture fixture = workers()) {
      cutOff(fixture, step, direction);
      PatchStatus cut = onlyPatch(fixture.pid());
      assertThat(cut.state()).isEqualTo(PatchStatus.State.IN_PROGRESS);
      assertThat(cut.entry().note().label()).isEqualTo(CutOffPatcher.LABEL);
      // Noted before the step is done.
      assertThat(cut.entry().progress()).isEqualTo(new Progress(direction, step - 1));
      assertThat(cut.sites().get(0).state())
          .isEqualTo(
              step < 5
                  ? FoundSite.State.CUT_OFF
                  : direction == Progress.State.APPLYING
                      ? FoundSite.State.NEW
                      : FoundSite.State.OLD);

      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        assertThatExceptionOfType(PatchCutOffException.class)
            .isThrownBy(() -> process.patch(1).revert());
        assertThat(onlyPatch(fixture.pid())).isEqualTo(cut);

        boolean stands = step == 5 && direction == Progress.State.APPLYING;
        assertThat(process.recover())
            .containsExactly(
                new RecoveredPatch(
                    cut.entry(),
                    stands ? Result.FINISHED : Result.ROLLED_BACK,
                    ImmutableList.of()));
        assertThat(process.recover()).isEmpty();
        if (stands) {
          assertThat(onlyPatch(fixture.pid()).state()).isEqualTo(PatchStatus.State.APPLIED);
          process.patch(1).revert();
        }
        assertNoPatch(fixture.pid());
        assertThat(bytesAt(fixture, "nop_62")).isEqualTo(NOP5);
        process.apply(WorkerSites.plan(process, fixture, "nop_62")).revert();
      }
      assertThat(bytesAt(fixture, "nop_62")).isEqualTo(NOP5);
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  /** No worker runs the site: nobody would take its breakpoint. */
  private static void cutOff(Fixture fixture, int step, Progress.State direction) {
    try (OtherJvm patcher =
        OtherJvm.start(
            CutOffPatcher.class, fixture.pid(), "nop_62", "repl", step, direction.name())) {
      patcher.awaitLine("held");
      patcher.kill();
    }
    fixture.assertHealthy();
  }

  @Test
  void aCutOffSiteThatAnotherToolHasChangedIsLeft() {
    try (Fixture fixture = workers()) {
      cutOff(fixture, 3, Progress.State.APPLYING);
      write(fixture, fixture.address("nop_62"), FOREIGN);
      PatchStatus cut = onlyPatch(fixture.pid());
      assertThat(cut.state()).isEqualTo(PatchStatus.State.IN_PROGRESS);
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        assertThat(process.recover())
            .containsExactly(new RecoveredPatch(cut.entry(), Result.LEFT, cut.sites()));
      }
      assertThat(bytesAt(fixture, "nop_62")).isEqualTo(FOREIGN);
      assertThat(onlyPatch(fixture.pid())).isEqualTo(cut);
    }
  }

  @Test
  void aForkedChildListsAndRevertsWhatItsParentHadPatched() {
    try (Fixture fixture = Fixture.start("forker")) {
      try (TargetProcess parent = TargetProcess.attach(fixture.pid())) {
        parent.apply(LivingTargetsTest.plan(parent, fixture));
      }
      fixture.command("child");
      fixture.awaitCounter("child_new", 1_000, SOON);
      // The parent may come to it after its child has called the site a thousand times.
      fixture.awaitCounter("child", 1, SOON);
      int child = (int) fixture.counter("child");
      assertThat(onlyPatch(child)).isEqualTo(onlyPatch(fixture.pid()));

      try (TargetProcess process = TargetProcess.attach(child)) {
        process.patch(1).revert();
      }
      fixture.awaitCounter("child_old", fixture.counter("child_old") + 1_000, SOON);
      assertNoPatch(child);
      assertThat(onlyPatch(fixture.pid()).state()).isEqualTo(PatchStatus.State.APPLIED);
      fixture.awaitCounter("results_new", fixture.counter("results_new") + 1_000, SOON);

      // From here on they have nothing to do with each other.
      try (TargetProcess process = TargetProcess.attach(child)) {
        process.apply(LivingTargetsTest.plan(process, fixture));
      }
      try (TargetProcess parent = TargetProcess.attach(fixture.pid())) {
        parent.patch(1).revert();
      }
      assertNoPatch(fixture.pid());
      assertThat(onlyPatch(child).state()).isEqualTo(PatchStatus.State.APPLIED);
      fixture.awaitCounter("child_new", fixture.counter("child_new") + 1_000, SOON);
      fixture.awaitCounter("results_old", fixture.counter("results_old") + 1_000, SOON);
      assertThat(fixture.counter("child_bad")).isZero();
      assertThat(fixture.counter("child_killed")).isZero();
      fixture.assertHealthy();
    }
  }

  /** Without a linger they take turns all the time. */
  @ParameterizedTest
  @ValueSource(ints = {0, 5})
  void twoPatchersAtOnceTakeTurnsAndLoseNothing(int linger) {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0,nop_62");
        OtherJvm one = OtherJvm.start(Toggler.class, fixture.pid(), "nop_0", "repl", 200, linger);
        OtherJvm other =
            OtherJvm.start(Toggler.class, fixture.pid(), "nop_62", "repl", 200, linger)) {
      one.awaitLine("ready");
      other.awaitLine("ready");
      one.send("go");
      other.send("go");
      one.awaitLine("done");
      other.awaitLine("done");
      assertNoPatch(fixture.pid());
      assertThat(bytesAt(fixture, "nop_0")).isEqualTo(NOP5);
      assertThat(bytesAt(fixture, "nop_62")).isEqualTo(NOP5);
      fixture.awaitCounter("results_old", fixture.counter("results_old") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void whoWaitsTooLongForAnotherPatcherIsToldWhoItIs() {
    try (Fixture fixture = workers();
        AdvisoryLock other = AdvisoryLock.open("/proc/" + fixture.pid())) {
      assertThat(other).isNotNull();
      assertThat(other.tryLock()).isTrue();
      assertThatExceptionOfType(AlreadyTracedException.class)
          .isThrownBy(
              () ->
                  TargetProcess.attach(
                      fixture.pid(), AttachOptions.DEFAULT.withPatience(Duration.ofMillis(50))))
          .withMessageContaining(" " + ProcessHandle.current().pid() + " (java)");
      other.unlock();
      TargetProcess.attach(fixture.pid()).close();
    }
  }

  @Test
  void statusTellsTheTruthWhileAPatcherIsAtWork() {
    try (Fixture fixture = workers();
        OtherJvm patcher =
            // It works on until it has been looked at, and is killed then.
            OtherJvm.start(Toggler.class, fixture.pid(), "nop_0", "repl", Integer.MAX_VALUE, 5)) {
      patcher.awaitLine("ready");
      patcher.send("go");
      long seen = 0;
      // The patcher may come to it late.
      for (int i = 0; i < 500 || seen == 0; i++) {
        LedgerStatus status = TargetProcess.status(fixture.pid());
        assertThat(status.damaged()).isEmpty();
        assertThat(status.patches())
            .allSatisfy(
                patch ->
                    assertThat(patch.state())
                        .as("%s", patch)
                        .isNotEqualTo(PatchStatus.State.CHANGED));
        seen += status.patches().size();
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"POKER", "STEPWISE"})
  void theLedgerGrows(EngineChoice engine) {
    try (Fixture fixture = workers();
        TargetProcess process =
            TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
      long first = fixture.address("batch_0");
      String label = "long ".repeat(100);
      int segments = 0;
      int patches = 0;
      while (segments < 3) {
        process.apply(replacing(first + (long) patches * BATCH_STEP), label + patches);
        patches++;
        segments = TargetLedger.segments(fixture.pid()).size();
      }
      assertThat(TargetProcess.status(fixture.pid()).patches())
          .hasSize(patches)
          .allSatisfy(patch -> assertThat(patch.state()).isEqualTo(PatchStatus.State.APPLIED))
          .extracting(patch -> patch.entry().id())
          .containsExactlyElementsOf(
              IntStream.rangeClosed(1, patches).mapToObj(Long::valueOf).toList());
      process.patches().forEach(Patch::revert);
      assertNoPatch(fixture.pid());

      // What is free is used again.
      process.apply(replacing(first), label).revert();
      assertThat(TargetLedger.segments(fixture.pid())).hasSize(segments);
      fixture.assertHealthy();
    }
  }

  @Test
  void whatWeMapInTheTargetIsNamed() {
    try (Fixture fixture = workers()) {
      ImmutableList<Mapping> before = MemoryMap.read(fixture.pid()).mappings();
      // The session stays until we have looked, and ends when we leave.
      AttachOptions staying = AttachOptions.DEFAULT.withLease(SOON);
      try (TargetProcess process = TargetProcess.attach(fixture.pid(), staying)) {
        process.apply(replacing(fixture.address("nop_62")));
        assertThat(MemoryMap.read(fixture.pid()).mappings())
            .filteredOn(mapping -> !before.contains(mapping))
            .extracting(Mapping::path)
            .containsExactlyInAnyOrder(
                "/memfd:textpoke-code", "/memfd:textpoke-ledger", "/memfd:textpoke-session");
      }
      assertThat(MemoryMap.read(fixture.pid()).mappings())
          .filteredOn(mapping -> !before.contains(mapping))
          .extracting(Mapping::path)
          .containsExactlyInAnyOrder("/memfd:textpoke-code", "/memfd:textpoke-ledger");
      fixture.assertHealthy();
    }
  }
}
