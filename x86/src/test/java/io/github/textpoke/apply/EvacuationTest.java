package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.ExitStatus;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Several instructions become one while threads stand on, and between, their boundaries. */
@RequiresPtrace
class EvacuationTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  /** All but who can't come out has come out by then, on a busy machine too. */
  private static final Duration LITTLE_PATIENCE = Duration.ofSeconds(1);

  /** Each applies and reverts. */
  private static final long TOGGLES = Boolean.getBoolean("soak") ? 20_000 : 2_000;

  static Stream<EngineChoice> engines() {
    return Stream.of(EngineChoice.POKER, EngineChoice.STEPWISE);
  }

  private static AttachOptions by(EngineChoice engine) {
    return AttachOptions.DEFAULT.withEngine(engine).withPatience(SOON);
  }

  private static Fixture start(int threads, String... more) {
    List<String> arguments = new ArrayList<>(List.of("--threads", Integer.toString(threads)));
    arguments.addAll(List.of(more));
    return Fixture.start("displaced", arguments.toArray(new String[0]));
  }

  @ParameterizedTest
  @CsvSource({"POKER,2", "POKER,8", "STEPWISE,2", "STEPWISE,8"})
  void noThreadSeesATornInstructionWhileSeveralAreDisplacedAndPutBack(
      EngineChoice engine, int workers) {
    try (Fixture fixture = start(workers, "--bytes", "4096");
        TargetProcess process = TargetProcess.attach(fixture.pid(), by(engine))) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      long enough = TOGGLES / 100;
      long[] traps = {0};
      long[] pokes = {0};
      long deadline = System.nanoTime() + 2 * SOON.toNanos();
      long toggled =
          process.toggle(
              site.plan(),
              Long.MAX_VALUE,
              Duration.ZERO,
              (nanos, window, met, parked) -> {
                traps[0] += met;
                // A busy machine may let the workers run so rarely that they meet few.
                boolean isMet = traps[0] > enough && fixture.counter("results_new") > 0;
                return ++pokes[0] < 2 * TOGGLES || (!isMet && System.nanoTime() - deadline < 0);
              });
      assertThat(toggled).isGreaterThanOrEqualTo(TOGGLES);
      assertThat(traps[0]).as("threads that met a breakpoint").isGreaterThan(enough);
      assertThat(site.bytesNow()).isEqualTo(site.oldBytes());
      fixture.awaitCounter("calls", fixture.counter("calls") + TOGGLES, SOON);
      assertThat(fixture.counter("results_new")).isPositive();
      fixture.assertHealthy();
    }
  }

  /** Shows that the test above can fail: who is preempted inside runs the middle of the jump. */
  @ParameterizedTest
  @MethodSource("engines")
  void withoutTheEvacuationAThreadRunsTheMiddleOfTheJump(EngineChoice engine) {
    for (int round = 0; round < 20; round++) {
      try (Fixture fixture = start(8);
          TargetProcess process =
              TargetProcess.attach(fixture.pid(), by(engine), new NoEvacuation())) {
        PatchPlan plan = DisplacedSite.prepare(fixture).plan();
        try {
          process.toggle(plan, 500, Duration.ZERO, (nanos, window, traps, parked) -> true);
        } catch (TargetGoneException | NoSuchProcessException torn) {
          assertThat(fixture.awaitExit(SOON)).isInstanceOf(ExitStatus.Killed.class);
          return;
        }
        if (fixture.counter("wrong") > 0) {
          return;
        }
      }
    }
    throw new AssertionError("10,000 toggles without an evacuation, and not one fault");
  }

  private static final class NoEvacuation implements Interference {
    @Override
    public ImmutableList<Step> steps(ImmutableList<Step> steps) {
      return steps.stream()
          .filter(step -> !(step instanceof Step.Evacuate))
          .collect(ImmutableList.toImmutableList());
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void aThreadThatIsHeldOnABoundaryInsideIsMovedToTheCopyWithoutRunning(EngineChoice engine) {
    try (Fixture fixture = start(4)) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      // The helper is a thread of the program: once that is stopped it starts no poker.
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), by(engine).withLinger(SOON))) {
        Set<Integer> inside = stopInside(fixture, site);
        process.apply(site.plan());
        process.close();
        for (int tid : inside) {
          assertThat(site.isInCopy(standingOf(tid))).as("thread %s", tid).isTrue();
        }
      }
      long fresh = fixture.counter("results_new");
      fixture.signal("SIGCONT");
      fixture.awaitCounter("results_new", fresh + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  /** Where a thread goes on that job control has stopped; our leaving wakes it for a moment. */
  private static long standingOf(int tid) {
    for (; ; ) {
      awaitState(tid, "T");
      BlockedCall where = BlockedCall.read(tid);
      if (where != null && !where.running()) {
        return where.instructionPointer();
      }
    }
  }

  /** Stops the program by job control until some of its threads stand inside. */
  private static Set<Integer> stopInside(Fixture fixture, DisplacedSite site) {
    for (int attempt = 0; attempt < 200; attempt++) {
      fixture.signal("SIGSTOP");
      Set<Integer> inside = new HashSet<>();
      for (int tid : ProcStatus.threads(fixture.pid())) {
        // Traced or not.
        awaitState(tid, "Tt");
        BlockedCall where = BlockedCall.read(tid);
        if (where != null && site.isInside(where.instructionPointer())) {
          inside.add(tid);
        }
      }
      if (!inside.isEmpty()) {
        return inside;
      }
      long calls = fixture.counter("calls");
      fixture.signal("SIGCONT");
      fixture.awaitCounter("calls", calls + 1, SOON);
    }
    throw new AssertionError("no thread was ever inside");
  }

  private static void awaitState(int tid, String states) {
    long deadline = System.nanoTime() + SOON.toNanos();
    for (ProcStatus status = ProcStatus.read(tid);
        status != null && states.indexOf(status.state()) < 0;
        status = ProcStatus.read(tid)) {
      assertThat(System.nanoTime() - deadline).as("thread %s to be %s", tid, states).isNegative();
      LockSupport.parkNanos(50_000);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "POKER,wait,false",
    "POKER,spin,false",
    "POKER,wait,true",
    "POKER,spin,true",
    "STEPWISE,wait,false",
    "STEPWISE,spin,false",
    "STEPWISE,wait,true",
    "STEPWISE,spin,true"
  })
  void aThreadWhoseHandlerReturnsInsideIsNamedAfterTheDeadlineAndAllIsRolledBack(
      EngineChoice engine, String how, boolean ownStack) {
    try (Fixture fixture = ownStack ? start(3, "--altstack") : start(3);
        TargetProcess process =
            TargetProcess.attach(fixture.pid(), by(engine).withPatience(LITTLE_PATIENCE))) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      fixture.command("hold " + how);
      fixture.awaitCounter("held", 1, SOON);
      int holder = (int) fixture.counter("worker_id_0");
      assertThatExceptionOfType(EvacuationTimeoutException.class)
          .isThrownBy(() -> process.apply(site.plan()))
          .satisfies(
              failure -> {
                assertThat(failure.outcome()).isEqualTo(Outcome.ROLLED_BACK);
                assertThat(failure.thread()).isEqualTo(holder);
                assertThat(failure.what())
                    .contains("thread " + holder + " (displaced)", "its stack leads back to 0x")
                    .doesNotContain("others");
              });
      assertThat(site.bytesNow()).isEqualTo(site.oldBytes());
      assertThat(fixture.counter("results_new")).isZero();
      // The boundary that it comes back to is whole.
      long handled = fixture.counter("handled");
      fixture.command("release");
      fixture.awaitCounter("handled", handled + 1, SOON);
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
      process.apply(site.plan()).revert();
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void aThreadWhoseHandlerReturnsInTimeIsWaitedForAndMoved(EngineChoice engine) {
    try (Fixture fixture = start(3)) {
      ReleaseAtEvacuation release = new ReleaseAtEvacuation(fixture);
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), by(engine).withLease(SOON), release)) {
        DisplacedSite site = DisplacedSite.prepare(fixture);
        fixture.command("hold wait");
        fixture.awaitCounter("held", 1, SOON);
        process.apply(site.plan());
        assertThat(release.asked).isPositive();
        assertThat(fixture.counter("held")).isZero();
        fixture.awaitCounter("results_new", 1_000, SOON);
        fixture.assertHealthy();
      }
    }
  }

  /** Lets the handler return when the breakpoints stand. */
  private static final class ReleaseAtEvacuation implements Interference {
    private final Fixture fixture;
    int asked;

    ReleaseAtEvacuation(Fixture fixture) {
      this.fixture = fixture;
    }

    @Override
    public boolean pauses() {
      return true;
    }

    @Override
    public void before(int step) {
      // Four breakpoints, a sync, then the evacuation.
      if (step == 5) {
        assertThat(fixture.counter("held")).isEqualTo(1);
        fixture.command("release");
        asked++;
      }
    }
  }

  /** Its stack is a copy of its parent's, and nobody evacuates it. */
  @ParameterizedTest
  @MethodSource("engines")
  void aChildThatIsForkedInTheMiddleAndReturnsInsideRunsTheOldCode(EngineChoice engine) {
    try (Fixture fixture = start(3)) {
      ReleaseAtEvacuation release = new ReleaseAtEvacuation(fixture);
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), by(engine).withLease(SOON), release)) {
        DisplacedSite site = DisplacedSite.prepare(fixture);
        fixture.command("hold fork");
        fixture.awaitCounter("held", 1, SOON);
        process.apply(site.plan());
      }
      fixture.awaitCounter("child", 1, SOON);
      fixture.awaitCounter("child_old", 1_000, SOON);
      fixture.awaitCounter("results_new", 1_000, SOON);
      assertThat(fixture.counter("child_new")).isZero();
      assertThat(fixture.counter("child_wrong")).isZero();
      assertThat(fixture.counter("child_killed")).isZero();
      fixture.assertHealthy();
    }
  }

  /** The only worker waits, so that nobody runs the breakpoints of the dead patcher. */
  @ParameterizedTest
  @CsvSource({
    "POKER,1", "POKER,2", "POKER,4", "POKER,5",
    "STEPWISE,1", "STEPWISE,2", "STEPWISE,4", "STEPWISE,5"
  })
  void aPatcherThatIsKilledWhileBreakpointsStandInsideIsRecoveredFrom(
      EngineChoice engine, int step) {
    try (Fixture fixture = start(1)) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      fixture.command("hold wait");
      fixture.awaitCounter("held", 1, SOON);
      try (OtherJvm patcher =
          OtherJvm.start(
              CutOffDisplacer.class,
              fixture.pid(),
              fixture.address("site"),
              fixture.address("repl"),
              fixture.address("copy"),
              step)) {
        patcher.awaitLine("held");
        patcher.kill();
      }
      assertThat(site.bytesNow()).isNotEqualTo(site.oldBytes());
      try (TargetProcess process = TargetProcess.attach(fixture.pid(), by(engine))) {
        assertThat(process.recover())
            .extracting(RecoveredPatch::result)
            .containsExactly(RecoveredPatch.Result.ROLLED_BACK);
        assertThat(site.bytesNow()).isEqualTo(site.oldBytes());
        fixture.command("release");
        fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
        assertThat(process.apply(site.plan()).revert().engine())
            .isEqualTo(engine.name().toLowerCase(Locale.ROOT));
        fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      }
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void threadsThatWaitInSystemCallsAreNotStopped(EngineChoice engine) throws IOException {
    try (Fixture fixture = start(2, "--sleepers", "200")) {
      Set<Integer> workers =
          Set.of((int) fixture.counter("worker_id_0"), (int) fixture.counter("worker_id_1"));
      Map<Integer, String> before = switches(fixture.pid(), workers);
      try (TargetProcess process = TargetProcess.attach(fixture.pid(), by(engine))) {
        DisplacedSite site = DisplacedSite.prepare(fixture);
        Patch patch = process.apply(site.plan());
        assertThat(patch.report().orElseThrow().threads()).isGreaterThan(200);
        patch.revert();
      }
      Map<Integer, String> after = switches(fixture.pid(), workers);
      assertThat(after).hasSizeGreaterThanOrEqualTo(200);
      // One of the workers, or at most one of the others, was borrowed.
      assertThat(after.entrySet().stream().filter(now -> !before.entrySet().contains(now)))
          .hasSizeLessThanOrEqualTo(1);
      assertThat(fixture.counter("eintr")).isZero();
      fixture.assertHealthy();
    }
  }

  private static Map<Integer, String> switches(int pid, Set<Integer> without) throws IOException {
    Map<Integer, String> counts = new TreeMap<>();
    for (int tid : ProcStatus.threads(pid)) {
      if (!without.contains(tid)) {
        awaitState(tid, "S");
        String status = Files.readString(Path.of("/proc/" + pid + "/task/" + tid + "/status"));
        counts.put(tid, status.substring(status.indexOf("voluntary_ctxt_switches:")));
      }
    }
    return counts;
  }

  @ParameterizedTest
  @MethodSource("engines")
  void whoMeetsTheFirstByteMayWaitInsteadOfRunningTheCopy(EngineChoice engine) {
    try (Fixture fixture = start(4, "--bytes", "64");
        TargetProcess process = TargetProcess.attach(fixture.pid(), by(engine))) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      PatchPlan plan = site.plan(new TrapAction.Rewind());
      long[] waited = {0};
      long[] pokes = {0};
      long deadline = System.nanoTime() + SOON.toNanos();
      process.toggle(
          plan,
          Long.MAX_VALUE,
          Duration.ZERO,
          (nanos, window, met, parked) -> {
            waited[0] += parked;
            // A busy machine may let the workers run so rarely that they meet none.
            return ++pokes[0] < 600 || (waited[0] == 0 && System.nanoTime() - deadline < 0);
          });
      assertThat(waited[0]).isPositive();
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void displacingAndOtherPlansTakeTurnsWithOnePoker() {
    try (Fixture fixture = start(2);
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      PatchPlan nop = site.oneForOne();
      for (int round = 0; round < 20; round++) {
        for (PatchPlan plan : List.of(site.plan(), nop)) {
          Patch patch = process.apply(plan);
          ApplyReport report = patch.report().orElseThrow();
          assertThat(report.engine()).isEqualTo("poker");
          assertThat(report.remark()).doesNotContain("no poker");
          assertThat(patch.revert().engine()).isEqualTo("poker");
        }
      }
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void aSiteThatIsTooLongForThePokerGoesToTheStepwiseEngineAndTheNextToThePoker() {
    try (Fixture fixture = start(2);
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      for (int round = 0; round < 3; round++) {
        Patch displaced = process.apply(site.longPlan());
        ApplyReport first = displaced.report().orElseThrow();
        assertThat(first.engine()).isEqualTo("stepwise");
        assertThat(first.remark())
            .isEqualTo("no poker: a site is longer than the poker's tables allow");
        assertThat(displaced.revert().engine()).isEqualTo("stepwise");

        Patch plain = process.apply(site.plan());
        ApplyReport second = plain.report().orElseThrow();
        assertThat(second.engine()).isEqualTo("poker");
        assertThat(second.remark()).doesNotContain("no poker");
        plain.revert();
      }
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void whoAsksForThePokerAloneIsRefusedASiteThatIsTooLongForIt() {
    try (Fixture fixture = start(2);
        TargetProcess process = TargetProcess.attach(fixture.pid(), by(EngineChoice.POKER))) {
      DisplacedSite site = DisplacedSite.prepare(fixture);
      assertThatExceptionOfType(UnsupportedPlanException.class)
          .isThrownBy(() -> process.apply(site.longPlan()))
          .withMessageContaining("a site is longer than the poker's tables allow")
          .satisfies(refusal -> assertThat(refusal.outcome()).isEqualTo(Outcome.UNTOUCHED));
      assertThat(site.bytesNow()).isEqualTo(site.oldBytes());
      assertThat(process.patches()).isEmpty();
      process.apply(site.plan()).revert();
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @CsvSource({"POKER, 1", "POKER, 4", "STEPWISE, 1", "STEPWISE, 4"})
  void aFiberThatWasInterruptedInsideIsFoundAndAllIsRolledBack(EngineChoice engine, int offset) {
    AttachOptions options = AttachOptions.DEFAULT.withEngine(engine);
    try (Lodgers lodgers = Lodgers.start("--threads", "1", "--fibers");
        TargetProcess process = TargetProcess.attach(lodgers.fixture.pid(), options)) {
      PatchPlan plan = lodgers.jump("plain", "repl");
      long boundary = lodgers.site("plain") + offset;
      lodgers.hold(boundary, boundary + 1, "swap");
      assertThatExceptionOfType(EvacuationTimeoutException.class)
          .isThrownBy(() -> process.apply(plan))
          .satisfies(held -> assertThat(held.outcome()).isEqualTo(Outcome.ROLLED_BACK))
          .withMessageContaining("0x" + Long.toHexString(boundary));
      lodgers.awaitMore("results_old", 1_000);
      lodgers.release();
      lodgers.awaitMore("results_old", 1_000);
      lodgers.fixture.assertHealthy();
      assertThat(lodgers.fixture.counter("results_new")).isZero();
    }
  }
}
