package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Targets whose process and thread ids are those of a namespace of their own. */
@RequiresPtrace
class ContainedTargetsTest {
  private static final int TOGGLES = 2_000;

  @Test
  void thePokerPatchesTheFirstProcessOfAContainer() {
    try (Fixture fixture = start("contained")) {
      int pid = contained(fixture);
      assertThat(ProcStatus.idsInNamespaces(pid)).hasSizeGreaterThan(1).endsWith(1);
      try (TargetProcess process = TargetProcess.attach(pid)) {
        PatchPlan plan = WorkerSites.plan(process, fixture, "nop_62");
        Patch patch = process.apply(plan);
        assertThat(patch.report().orElseThrow().engine()).isEqualTo(PokerEngine.NAME);
        assertThat(TargetProcess.status(pid).patches()).hasSize(1);
        patch.revert();
        toggle(process, plan);
      }
      fixture.assertHealthy();
    }
  }

  /** The poker works with the ids that the target has; those of such a /proc name strangers. */
  @Test
  void theStepwiseEnginePatchesWhereTheTargetSeesAForeignProc() {
    try (Fixture fixture = start("contained", "--host-proc")) {
      int pid = contained(fixture);
      try (TargetProcess process = TargetProcess.attach(pid)) {
        PatchPlan plan = WorkerSites.plan(process, fixture, "nop_62");
        Patch patch = process.apply(plan);
        ApplyReport report = patch.report().orElseThrow();
        assertThat(report.engine()).isNotEqualTo(PokerEngine.NAME);
        assertThat(report.remark()).contains("/proc");
        patch.revert();
        toggle(process, plan);
      }
      assertThatExceptionOfType(UnsupportedTargetException.class)
          .isThrownBy(
              () -> TargetProcess.attach(pid, AttachOptions.DEFAULT.withEngine(EngineChoice.POKER)))
          .withMessageContaining("/proc");
      fixture.assertHealthy();
    }
  }

  private static Fixture start(String... container) {
    String[] arguments = new String[container.length + 4];
    System.arraycopy(container, 1, arguments, 0, container.length - 1);
    int at = container.length - 1;
    arguments[at++] = Fixture.program("workers").toString();
    arguments[at++] = "--threads";
    arguments[at++] = "2";
    arguments[at++] = "--sites";
    arguments[at] = "nop_62";
    return Fixture.start(container[0], arguments);
  }

  private static int contained(Fixture fixture) {
    int child = ProcStatus.onlyChild(fixture.pid(), fixture.pid());
    assertThat(child).isPositive();
    return child;
  }

  private static void toggle(TargetProcess process, PatchPlan plan) {
    long done =
        process.toggle(plan, TOGGLES, Duration.ZERO, (nanos, window, traps, parked) -> true);
    assertThat(done).isEqualTo(TOGGLES);
  }
}
