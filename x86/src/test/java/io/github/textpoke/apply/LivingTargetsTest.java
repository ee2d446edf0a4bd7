package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a target may do while it is patched: be born, fork, exec, stop, take signals. */
@RequiresPtrace
class LivingTargetsTest {
  /** The poker does not leave, for which it looks at each thread. */
  private static final AttachOptions STAYING =
      AttachOptions.DEFAULT.withLinger(Duration.ofMinutes(1)).withLease(Duration.ofMinutes(1));

  private static final Duration SOON = Duration.ofSeconds(30);
  private static final int TOGGLES = 3_000;

  @Test
  void threadsThatAreBornAndDieMeanwhileRunTheOldOrTheNewCode() {
    try (Fixture fixture = Fixture.start("storm");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long before = fixture.counter("born");
      toggle(process, fixture, TOGGLES);
      // On a busy machine the toggles may be over before one is born.
      while (fixture.counter("born") == before) {
        toggle(process, fixture, 500);
      }
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fork", "vfork", "spawn", "sharer"})
  void childrenMadeMeanwhileRunTheOldOrTheNewCode(String kind) {
    try (Fixture fixture = Fixture.start("forker", "--" + kind);
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long before = fixture.counter("children_" + kind);
      while (fixture.counter("children_" + kind) < before + 200) {
        toggle(process, fixture, 500);
      }
      assertThat(fixture.counter("child_wrong")).isZero();
      assertThat(fixture.counter("child_killed")).isZero();
      fixture.assertHealthy();
    }
  }

  /**
   * Seizing, borrowing and syncing are met by an execve at any moment. One that another thread than
   * the main one calls takes the thread's id away.
   */
  @ParameterizedTest
  @ValueSource(strings = {"exec", "exec-by-thread"})
  void aProgramThatCallsExecveWhileItIsSeizedLivesOn(String command) {
    AttachOptions hasty = AttachOptions.DEFAULT.withLinger(Duration.ZERO);
    try (Fixture fixture = Fixture.start("forker", "--threads", "8")) {
      for (int generation = 2; generation < 100; generation++) {
        fixture.command(command);
        long attached = 0;
        while (fixture.counter("generation") < generation - 1 || attached == 0) {
          attached++;
          try (TargetProcess process = TargetProcess.attach(fixture.pid(), hasty)) {
            assertThat(process.pid()).isEqualTo(fixture.pid());
          } catch (PatchException inTheMiddle) {
            assertThat(inTheMiddle.outcome()).isIn(Outcome.GONE, Outcome.UNTOUCHED);
          }
          assertThat(fixture.exitStatus()).as(fixture.outputTail()).isEmpty();
        }
        fixture.awaitReady(generation, SOON);
      }
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  @Test
  void processesThatShareTheMemoryAreTracedToo() {
    try (Fixture fixture = Fixture.start("forker", "--sharer-early");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      toggle(process, fixture, TOGGLES);
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      assertThat(fixture.counter("child_wrong")).isZero();
      assertThat(fixture.counter("child_killed")).isZero();
      fixture.assertHealthy();
    }
  }

  @ParameterizedTest
  @CsvSource({
    "--block-sigtrap,2",
    "--block-all,2",
    "--ignore-sigtrap,",
    "--handle-sigtrap,",
  })
  void aThreadsSigtrapStateIsPutBack(String option, String value) {
    String[] arguments =
        value == null
            ? new String[] {"--threads", "3", "--sites", "nop_0", option}
            : new String[] {"--threads", "3", "--sites", "nop_0", option, value};
    try (Fixture fixture = Fixture.start("workers", arguments);
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      PatchPlan plan = WorkerSites.plan(process, fixture, "nop_0");
      process.toggle(plan, TOGGLES, Duration.ZERO, (nanos, window, traps, parked) -> true);
      process.close();
      // A worker may look while another is being put right; afterwards nothing is lost any more.
      fixture.awaitCounter("calls", fixture.counter("calls") + 100_000, SOON);
      long masks = fixture.counter("mask_lost");
      long handlers = fixture.counter("handler_lost");
      fixture.awaitCounter("calls", fixture.counter("calls") + 10_000_000, SOON);
      assertThat(fixture.counter("mask_lost")).isEqualTo(masks).isZero();
      // Each worker may still count what it saw before: lost for good, it would be thousands.
      assertThat(fixture.counter("handler_lost")).isBetween(handlers, handlers + 3);
      assertThat(fixture.counter("foreign_traps")).isZero();
      long own = fixture.counter("own_traps");
      fixture.awaitCounter("own_traps_seen", own, SOON);
      fixture.assertHealthy();
    }
  }

  /** Threads are seized inside their handlers, too, where they block SIGTRAP for a moment. */
  @Test
  void aProgramThatTakesItsOwnBreakpointsSurvivesManyAttaches() {
    try (Fixture fixture =
        Fixture.start("workers", "--threads", "3", "--sites", "nop_62", "--handle-sigtrap")) {
      for (int round = 0; round < 150; round++) {
        try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
          process.toggle(
              WorkerSites.plan(process, fixture, "nop_62"),
              20,
              Duration.ZERO,
              (nanos, window, traps, parked) -> true);
        }
        assertThat(fixture.isAlive()).as("round " + round).isTrue();
      }
      assertThat(fixture.counter("mask_lost")).isZero();
      assertThat(fixture.counter("foreign_traps")).isZero();
      fixture.assertHealthy();
    }
  }

  @Test
  void noSignalOfTheProgramIsLost() {
    try (Fixture fixture = Fixture.start("signals", "--alarm", "500");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      toggle(process, fixture, TOGGLES);
      process.close();
      // The sender may not have come to it.
      fixture.awaitCounter("sent", 1, SOON);
      fixture.command("quiet");
      fixture.awaitCounter("quiet", 1, SOON);
      fixture.awaitCounter("handled", fixture.counter("sent"), SOON);
      assertThat(fixture.counter("handled")).isEqualTo(fixture.counter("sent")).isPositive();
      fixture.assertHealthy();
    }
  }

  @Test
  void aProcessThatIsStoppedStaysStoppedAndGoesOnWhenItIsContinued() {
    try (Fixture fixture = Fixture.start("jobs")) {
      int[] threads = ProcStatus.threads(fixture.pid());
      TargetProcess process = TargetProcess.attach(fixture.pid(), STAYING);
      PatchPlan plan = plan(process, fixture);
      for (int round = 0; round < 20; round++) {
        // A thread that is looked at, or has trapped, is in state t until its tracer lets it go.
        // Who
        // calls again is not, and nobody looks any more: its next t is a stop for good.
        fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
        fixture.signal(round % 2 == 0 ? "SIGSTOP" : "SIGTSTP");
        awaitStop(threads);
        long stopped = fixture.counter("calls");
        Patch patch = process.apply(plan);
        patch.revert();
        patch = process.apply(plan);
        assertThat(fixture.counter("calls")).isEqualTo(stopped);
        awaitStop(threads);
        long continued = fixture.counter("continued");
        fixture.signal("SIGCONT");
        fixture.awaitCounter("continued", continued + 1, SOON);
        fixture.awaitCounter("calls", stopped + 1_000, SOON);
        patch.revert();
      }
      fixture.assertHealthy();
    }
  }

  @Test
  void aProcessThatIsStoppedAndContinuedMeanwhileRunsTheOldOrTheNewCode() throws Exception {
    try (Fixture fixture = Fixture.start("jobs")) {
      int[] threads = ProcStatus.threads(fixture.pid());
      TargetProcess process = TargetProcess.attach(fixture.pid());
      PatchPlan plan = plan(process, fixture);
      Thread stopper =
          new Thread(
              () -> {
                for (int i = 0; i < 50; i++) {
                  fixture.signal("SIGSTOP");
                  awaitStop(threads);
                  fixture.signal("SIGCONT");
                  fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
                }
              });
      stopper.start();
      while (stopper.isAlive()) {
        process.toggle(plan, 50, Duration.ZERO, (nanos, window, traps, parked) -> true);
      }
      stopper.join();
      process.close();
      fixture.awaitCounter("calls", fixture.counter("calls") + 1_000, SOON);
      fixture.assertHealthy();
    }
  }

  /** Waits until all of the program's own threads are stopped by job control, traced or not. */
  private static void awaitStop(int[] threads) {
    long deadline = System.nanoTime() + SOON.toNanos();
    while (!isStopped(threads)) {
      assertThat(System.nanoTime()).as("waited for the stop").isLessThan(deadline);
      Thread.onSpinWait();
    }
  }

  private static boolean isStopped(int[] threads) {
    for (int tid : threads) {
      ProcStatus status = ProcStatus.read(tid);
      if (status != null && status.state() != 'T' && status.state() != 't') {
        return false;
      }
    }
    return true;
  }

  @Test
  void anEventLoopNoticesNothing() {
    for (String[] arguments : new String[][] {{}, {"--load"}, {"--timeout", "20"}}) {
      try (Fixture fixture = Fixture.start("single_epoll", arguments)) {
        for (int round = 0; round < 20; round++) {
          try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
            toggle(process, fixture, 20);
            fixture.command("x");
          }
        }
        fixture.awaitCounter("answers", 20, SOON);
        fixture.assertHealthy();
      }
    }
  }

  @Test
  void blockedThreadsAreNotWoken() {
    for (String[] arguments : new String[][] {{"--workers", "1"}, {"--workers", "0"}}) {
      try (Fixture fixture = Fixture.start("blockers", arguments)) {
        for (int round = 0; round < 30; round++) {
          try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
            toggle(process, fixture, 20);
          }
        }
        assertThat(fixture.counter("eintr")).isZero();
        assertThat(fixture.counter("returned")).isZero();
        assertThat(fixture.isAlive()).isTrue();
      }
    }
  }

  /** As long as its threads are traced: who leaves is no part of it. */
  @ParameterizedTest
  @EnumSource(names = {"POKER", "STEPWISE"})
  void aSignalToContinueDoesNotInterruptBlockedThreads(EngineChoice engine) {
    AttachOptions options =
        AttachOptions.DEFAULT.withEngine(engine).withLinger(Duration.ofMinutes(5));
    try (Fixture fixture = Fixture.start("blockers", "--workers", "1");
        TargetProcess process = TargetProcess.attach(fixture.pid(), options)) {
      int[] pokes = {0};
      process.toggle(
          plan(process, fixture),
          200,
          Duration.ZERO,
          (nanos, window, traps, parked) -> {
            if (pokes[0]++ % 20 == 0) {
              fixture.signal("SIGCONT");
            }
            return true;
          });
      process.close();
      assertThat(fixture.counter("eintr")).isZero();
      assertThat(fixture.isAlive()).isTrue();
    }
  }

  /** The signal has woken them by the time, and they may not have run yet. */
  @ParameterizedTest
  @EnumSource(names = {"POKER", "STEPWISE"})
  void blockedThreadsAreNotInterruptedByASignalToContinueThatComesBeforeWeLeave(
      EngineChoice engine) {
    AttachOptions options =
        AttachOptions.DEFAULT.withEngine(engine).withLinger(Duration.ofMinutes(5));
    try (Fixture fixture = Fixture.start("blockers", "--workers", "1")) {
      for (int round = 0; round < 10; round++) {
        try (TargetProcess process = TargetProcess.attach(fixture.pid(), options)) {
          toggle(process, fixture, 1);
          fixture.signal("SIGCONT");
        }
        assertThat(fixture.isAlive())
            .as("after round %d: %s", round, fixture.outputTail())
            .isTrue();
      }
      assertThat(fixture.counter("eintr")).isZero();
    }
  }

  @Test
  void aThreadInARestartableSequenceIsNotBorrowed() {
    try (Fixture fixture = Fixture.start("rseq")) {
      for (int round = 0; round < 50; round++) {
        try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
          toggle(process, fixture, 10);
        }
      }
      fixture.assertHealthy();
    }
  }

  static PatchPlan plan(TargetProcess process, Fixture fixture) {
    long site = fixture.address("site");
    return X86Planner.create()
        .replace(
            process.code("0x" + Long.toHexString(site)),
            site,
            Assembly.jmp(fixture.address("repl")));
  }

  private static void toggle(TargetProcess process, Fixture fixture, int count) {
    process.toggle(
        plan(process, fixture), count, Duration.ZERO, (nanos, window, traps, parked) -> true);
  }
}
