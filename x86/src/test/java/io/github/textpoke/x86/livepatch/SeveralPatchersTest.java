package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.Iterables;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.OtherJvm;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.x86.livepatch.OtherPatcher.Work;
import java.time.Duration;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Two JVMs at one service, one after the other, or one of them killed. */
@RequiresPtrace
class SeveralPatchersTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int TICKS = 3;
  private static final int ANSWERS = 200;
  private static final int KILLS =
      Integer.getInteger("kills", Boolean.getBoolean("soak") ? 200 : 3);
  private static final int LATEST_KILL_NANOS = 50_000_000;

  private Fixture service;
  private Fixture load;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
    load =
        Fixture.start(
            "service_load", "--service", Integer.toString(service.pid()), "--operations", "ct");
  }

  @AfterEach
  void theServiceAnswersAsBefore() {
    try (Fixture endingService = service;
        Fixture endingLoad = load) {
      assertAnswers(1);
      assertThat(endingLoad.counter("mixed")).isZero();
      assertThat(endingLoad.counter("lost")).isZero();
      endingLoad.assertHealthy();
      endingService.assertHealthy();
    }
  }

  private void assertAnswers(int version) {
    load.awaitCounter("v" + version, load.counter("v" + version) + ANSWERS, LONG);
  }

  private void assertTicks(int version) {
    String ticks = "ticks_" + version;
    service.awaitCounter(ticks, service.counter(ticks) + TICKS, LONG);
    long others = service.counter("ticks_" + (3 - version));
    service.awaitCounter(ticks, service.counter(ticks) + TICKS, LONG);
    assertThat(service.counter("ticks_" + (3 - version))).isEqualTo(others);
  }

  private OtherJvm other(Work work, String file) {
    return OtherJvm.start(
        OtherPatcher.class, work, service.pid(), Fixture.program("service_" + file + ".so"));
  }

  private void hold() {
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);
  }

  private void release() {
    service.command("release");
    service.awaitCounter("let_go", 1, LONG);
  }

  @Test
  void theSecondIsToldWhoIsAtWorkAndGoesOnWhenThatIsDone() {
    hold();
    long me = ProcessHandle.current().pid();
    try (OtherJvm second = other(Work.COMES_SECOND, "v2")) {
      try (TargetProcess process = TargetProcess.attach(service.pid())) {
        LivePatches patches = LivePatches.in(process, LoadOptions.DEFAULT.withPatience(LONG));
        LoadedPatch patch =
            Descriptions.loadHoldAndTick(patches, Fixture.program("service_hold.so"));
        patch.enable(
            (tries, blockers) -> {
              if (tries == 1) {
                second.send("now");
                assertThat(second.nextLine())
                    .contains("process " + service.pid() + " is traced by", Long.toString(me));
                service.command("release");
              }
            });
        assertThat(patch.state()).isEqualTo(PatchState.ENABLED);
        second.awaitLine("enabled");
        assertAnswers(2);
        assertThat(patches.list()).hasSize(2);
        second.send("go back");
        second.awaitLine("unloaded");
        assertThat(second.awaitEnd()).isZero();
        assertAnswers(1);
        assertTicks(2);
        patch.disable();
        assertTicks(1);
        assertThat(patch.unload()).isEmpty();
        assertThat(process.patches()).isEmpty();
      }
    }
  }

  @Test
  void whatAKilledJvmWasEnablingIsOldAndAnotherOneEnablesIt() {
    hold();
    try (OtherJvm killed = other(Work.STAYS_ENABLING, "hold")) {
      killed.awaitLine("waiting");
    }
    assertTicks(1);
    assertAnswers(1);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = Iterables.getOnlyElement(LivePatches.in(process).list());
      assertThat(patch.state()).isEqualTo(PatchState.ENABLING);
      assertThatExceptionOfType(WrongStateException.class).isThrownBy(patch::disable);
      assertThat(patch.state()).isEqualTo(PatchState.DISABLED);
      assertThat(process.patches()).isEmpty();
      assertTicks(1);
      release();
      assertCanBeUsed(patch);
    }
  }

  @Test
  void whatAKilledJvmWasEnablingCanBeUnloadedAtOnce() {
    hold();
    try (OtherJvm killed = other(Work.STAYS_ENABLING, "hold")) {
      killed.awaitLine("waiting");
    }
    release();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      awaitUnloaded(patches.find(1));
      assertThat(patches.list()).isEmpty();
      assertThat(process.patches()).isEmpty();
    }
    assertTicks(1);
  }

  @Test
  void whatAKilledJvmWasDisablingStaysNewAndAnotherOneDisablesIt() {
    try (OtherJvm killed = other(Work.STAYS_DISABLING, "hold")) {
      killed.awaitLine("enabled");
      hold();
      killed.send("go back");
      killed.awaitLine("waiting");
    }
    assertTicks(2);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = Iterables.getOnlyElement(LivePatches.in(process).list());
      assertThat(patch.state()).isEqualTo(PatchState.DISABLING);
      assertThatExceptionOfType(WrongStateException.class).isThrownBy(patch::enable);
      assertThat(patch.state()).isEqualTo(PatchState.ENABLED);
      assertTicks(2);
      release();
      patch.disable();
      assertTicks(1);
      assertCanBeUsed(patch);
    }
  }

  @Test
  void threadsThatWaitAtGatesOfAKilledJvmGoOn() {
    service.command("spin");
    service.awaitCounter("spinning", 1, LONG);
    try (OtherJvm killed = other(Work.TRIES_TO_ENABLE, "spin")) {
      killed.awaitLine("loaded");
      Turns.awaitHeld(service.pid(), LONG);
    }
    assertTicks(1);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = Iterables.getOnlyElement(LivePatches.in(process).list());
      assertThat(patch.state()).isEqualTo(PatchState.ENABLING);
      service.command("rest");
      service.awaitCounter("rested", 1, LONG);
      assertCanBeUsed(patch);
    }
  }

  @Test
  void aJvmThatIsKilledAtAnyMomentLeavesOneVersionOrTheOther() {
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches.in(process).load(Fixture.program("service_v2.so"));
    }
    SplittableRandom random = new SplittableRandom();
    for (int i = 0; i < KILLS; i++) {
      try (OtherJvm killed = other(Work.TOGGLES, "v2")) {
        killed.awaitLine("toggled");
        LockSupport.parkNanos(random.nextInt(LATEST_KILL_NANOS));
      }
      try (TargetProcess process = TargetProcess.attach(service.pid())) {
        LoadedPatch patch = Iterables.getOnlyElement(LivePatches.in(process).list());
        patch.refresh();
        if (patch.state() != PatchState.ENABLED) {
          assertThat(patch.state()).isEqualTo(PatchState.DISABLED);
          assertAnswers(1);
          patch.enable();
        }
        assertAnswers(2);
        patch.disable();
        assertAnswers(1);
        assertThat(process.patches()).extracting(Patch::id).containsExactly(patch.patch());
      }
    }
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      awaitUnloaded(LivePatches.in(process).find(1));
      assertThat(process.patches()).isEmpty();
    }
  }

  /** A thread that was let go may not have returned yet. */
  private static void awaitUnloaded(LoadedPatch patch) {
    long deadline = System.nanoTime() + LONG.toNanos();
    for (Optional<String> held = patch.unload(); held.isPresent(); held = patch.unload()) {
      assertThat(System.nanoTime()).as(held.get()).isLessThan(deadline);
    }
  }

  private void assertCanBeUsed(LoadedPatch patch) {
    patch.enable();
    assertTicks(2);
    patch.disable();
    assertTicks(1);
    // A stack of a thread that has ended may still hold an address of it.
    if (patch.unload().isPresent()) {
      assertThat(patch.state()).isEqualTo(PatchState.UNREGISTERED);
    }
  }
}
