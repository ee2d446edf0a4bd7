package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.fixtures.ExitStatus;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.plan.DisplacingPlan;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/** What {@link PeersCasesTest} does in each of its cases. */
final class PeersChecks {
  private static final AttachOptions PATIENT = AttachOptions.DEFAULT.withPatience(Lodgers.SOON);

  private PeersChecks() {}

  private static String[] call(String function, String... more) {
    List<String> arguments = new ArrayList<>(List.of("--call", function));
    arguments.addAll(List.of(more));
    return arguments.toArray(new String[0]);
  }

  static void toggle(String function, int times, String... more) {
    try (Lodgers lodgers = Lodgers.start(call(function, more))) {
      PatchPlan plan = lodgers.jump(function, "repl");
      // On a busy machine nobody may have called it while it was a jump.
      do {
        lodgers.toggle(plan, times);
      } while (lodgers.fixture.counter("results_new") == 0);
      lodgers.awaitMore("results_old", 1_000);
      lodgers.process.apply(lodgers.jump(function, "repl"));
      lodgers.awaitMore("results_new", 1_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void patchFromTwoThreads() throws Exception {
    try (Lodgers lodgers = Lodgers.start(call("lines", "--threads", "3"))) {
      List<PatchPlan> plans =
          List.of(lodgers.jump("line_1", "repl"), lodgers.jump("line_2", "repl"));
      ExecutorService patchers = Executors.newFixedThreadPool(2);
      try {
        List<Future<?>> ends = new ArrayList<>();
        for (PatchPlan plan : plans) {
          ends.add(
              patchers.submit(
                  () -> {
                    for (int i = 0; i < 20; i++) {
                      lodgers.process.apply(plan).revert();
                    }
                  }));
        }
        for (Future<?> end : ends) {
          end.get();
        }
      } finally {
        patchers.shutdown();
      }
      lodgers.awaitMore("results_old", 1_000);
      assertThat(lodgers.process.patches()).isEmpty();
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceAtEachOffsetOfALine() {
    try (Lodgers lodgers = Lodgers.start(call("lines", "--threads", "4"))) {
      List<PatchPlan> plans =
          IntStream.range(0, 64)
              .mapToObj(offset -> lodgers.jump("line_" + offset, "repl"))
              .toList();
      for (int offset = 0; offset < 64; offset++) {
        assertThat(plans.get(offset).pokes().get(0).address() % 64).isEqualTo(offset);
      }
      PatchPlan batch = lodgers.target.planner().batch(plans);
      lodgers.toggle(batch, 20);
      lodgers.process.apply(batch);
      lodgers.awaitMore("results_new", 10_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceInTheMiddleOfALeaf() {
    try (Lodgers lodgers = Lodgers.start(call("zone", "--threads", "4"))) {
      DisplacingPlan plan = lodgers.toCopy("zone");
      assertThat(plan.plan().pokes().get(0).displaces()).isTrue();
      lodgers.toggle(plan.plan(), 60);
      lodgers.process.apply(plan.plan());
      lodgers.awaitMore("calls", 10_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceBehindASystemCallThatWaits() {
    int threads = 4;
    try (Lodgers lodgers = Lodgers.start(call("blocked", "--threads", "" + threads))) {
      DisplacingPlan plan = lodgers.toCopy("blocked");
      assertThat(plan.plan().pokes().get(0).displaces()).isTrue();
      awaitBlocked(lodgers, threads, lodgers.site("blocked"));
      Patch patch = lodgers.process.apply(plan.plan());
      lodgers.fixture.command("feed 100");
      lodgers.fixture.awaitCounter("results_old", 100, Lodgers.SOON);
      awaitBlocked(lodgers, threads, lodgers.site("blocked"));
      patch.revert();
      lodgers.fixture.command("feed 100");
      lodgers.fixture.awaitCounter("results_old", 200, Lodgers.SOON);
      lodgers.fixture.assertHealthy();
    }
  }

  private static void awaitBlocked(Lodgers lodgers, int threads, long behind) {
    for (int i = 0; i < threads; i++) {
      lodgers.awaitBlockedAt(lodgers.worker(i), behind);
    }
  }

  static void refuseASystemCallAmongTheInstructions() {
    try (Lodgers lodgers = Lodgers.start(call("kernel"))) {
      long behind = lodgers.target.address("in_kernel") + 4;
      awaitBlocked(lodgers, 2, behind);
      CodeBytes before = lodgers.bytes("in_kernel", 5);
      assertThatExceptionOfType(PlanRefusedException.class)
          .isThrownBy(() -> lodgers.jump("in_kernel", "repl"))
          .satisfies(refusal -> assertThat(refusal.rule()).isEqualTo(15));
      assertThat(lodgers.bytes("in_kernel", 5)).isEqualTo(before);
      lodgers.fixture.command("feed 10");
      lodgers.fixture.awaitCounter("results_old", 10, Lodgers.SOON);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceTheHeap() throws Exception {
    try (Lodgers lodgers = Lodgers.start(call("heap", "--threads", "4"))) {
      DisplacingTarget libc =
          DisplacingTarget.of(
              lodgers.process, Compiled.libc(), "dlsym", lodgers.fixture.address("heap_room"));
      for (String function : List.of("malloc", "free")) {
        DisplacingPlan plan = libc.toCopy(function, libc.entry(function));
        lodgers.toggle(plan.plan(), 50);
        lodgers.process.apply(plan.plan());
      }
      lodgers.awaitMore("calls", 10_000);
      lodgers.process.patches().reverse().forEach(Patch::revert);
      lodgers.awaitMore("calls", 10_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceABusyFunction(int threads) {
    try (Lodgers lodgers = Lodgers.start(call("busy", "--threads", "" + threads))) {
      lodgers.stay(threads);
      long old = lodgers.fixture.counter("results_old");
      Patch patch = lodgers.process.apply(lodgers.jump("busy", "busy_repl"));
      assertThat(lodgers.fixture.counter("results_new")).isZero();
      lodgers.leave();
      lodgers.fixture.awaitCounter("results_old", old + threads, Lodgers.SOON);
      lodgers.awaitMore("results_new", 1_000);
      assertThat(lodgers.fixture.counter("results_old")).isEqualTo(old + threads);
      patch.revert();
      lodgers.awaitMore("results_old", 1_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void revertWhileThreadsAreInTheNewCode() {
    int threads = 4;
    try (Lodgers lodgers = Lodgers.start(call("busy", "--threads", "" + threads))) {
      Patch patch = lodgers.process.apply(lodgers.jump("busy", "busy_repl"));
      for (int i = 0; i < threads; i++) {
        lodgers.awaitMore("results_new_" + i, 1);
      }
      lodgers.stay(threads);
      long fresh = lodgers.fixture.counter("results_new");
      patch.revert();
      lodgers.leave();
      lodgers.fixture.awaitCounter("results_new", fresh + threads, Lodgers.SOON);
      lodgers.awaitMore("results_old", 1_000);
      assertThat(lodgers.fixture.counter("results_new")).isEqualTo(fresh + threads);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceWhileSomeStayInACallee(int lodging, String... more) {
    try (Lodgers lodgers = Lodgers.start(call("callee", more))) {
      lodgers.stay(lodging);
      PatchPlan plan = lodgers.jump("callee", "repl");
      assertThat(plan.pokes().get(0).displaces()).isTrue();
      Patch patch = lodgers.process.apply(plan);
      assertThat(lodgers.fixture.counter("results_new")).isZero();
      lodgers.leave();
      lodgers.awaitMore("results_new", 1_000);
      lodgers.fixture.assertHealthy();
      patch.revert();
      lodgers.stay(lodging);
      lodgers.process.apply(lodgers.toCopy("callee").plan());
      lodgers.leave();
      lodgers.awaitMore("results_old", 1_000);
      // In the callee of the copy, this time.
      lodgers.stay(lodging);
      lodgers.process.patches().get(0).revert();
      lodgers.leave();
      lodgers.awaitMore("results_old", 1_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceWhileThreadsAreBornAndEnd() {
    try (Lodgers lodgers = Lodgers.start(call("plain", "--churn", "3"))) {
      long born = lodgers.fixture.counter("born");
      PatchPlan plan = lodgers.jump("plain", "repl");
      do {
        lodgers.toggle(plan, 60);
      } while (lodgers.fixture.counter("born") <= born + 100);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceUnderAThreadOnEachBoundary() {
    for (int offset : new int[] {0, 1, 4, 7}) {
      try (Lodgers lodgers = Lodgers.start(call("plain", "--threads", "1"))) {
        DisplacingPlan plan =
            lodgers.target.displace("plain", lodgers.site("plain"), lodgers.target.address("repl"));
        long boundary = lodgers.site("plain") + offset;
        lodgers.process.close();
        StandingThread thread = StandingThread.stopAt(lodgers, boundary);
        try (TargetProcess process = TargetProcess.attach(lodgers.fixture.pid(), PATIENT)) {
          process.apply(plan.plan());
        }
        Long copy = plan.copy().boundaries().get(boundary);
        assertThat(thread.standing(lodgers))
            .isEqualTo(offset == 0 || copy == null ? boundary : copy);
        lodgers.fixture.signal("SIGCONT");
        lodgers.awaitMore("results_new", 1_000);
        lodgers.fixture.assertHealthy();
      }
    }
  }

  static void displaceUnderAHandlerOnEachBoundary() {
    for (int offset : new int[] {0, 1, 4, 7}) {
      try (Lodgers lodgers = Lodgers.start("--threads", "1")) {
        PatchPlan plan = lodgers.jump("plain", "repl");
        long boundary = lodgers.site("plain") + offset;
        lodgers.hold(boundary, boundary + 1, "wait");
        boolean isInside = offset == 1 || offset == 4;
        if (isInside) {
          lodgers.process.close();
          assertTimeout(lodgers, plan);
          lodgers.release();
        }
        try (TargetProcess process = TargetProcess.attach(lodgers.fixture.pid(), PATIENT)) {
          process.apply(plan);
        }
        if (!isInside) {
          lodgers.release();
        }
        lodgers.awaitMore("results_new", 1_000);
        lodgers.fixture.assertHealthy();
      }
    }
  }

  private static void assertTimeout(Lodgers lodgers, PatchPlan plan) {
    Site site = plan.pokes().get(0).site();
    // With less patience a busy machine might not even have begun.
    try (TargetProcess process = TargetProcess.attach(lodgers.fixture.pid())) {
      assertThatExceptionOfType(EvacuationTimeoutException.class)
          .isThrownBy(() -> process.apply(plan))
          .satisfies(
              failure -> {
                assertThat(failure.outcome()).isEqualTo(Outcome.ROLLED_BACK);
                assertThat(failure.thread()).isEqualTo(lodgers.worker(0));
              });
    }
    assertThat(lodgers.target.read(site.address(), site.length())).isEqualTo(site.bytes());
  }

  static void displaceUnderAPreemptedFiberAtBothEnds() {
    for (int offset : new int[] {0, 7}) {
      try (Lodgers lodgers = Lodgers.start("--threads", "1", "--fibers")) {
        long boundary = lodgers.site("plain") + offset;
        lodgers.hold(boundary, boundary + 1, "swap");
        Patch patch = lodgers.process.apply(lodgers.jump("plain", "repl"));
        lodgers.awaitMore("results_new", 1_000);
        lodgers.release();
        lodgers.awaitMore("results_new", 1_000);
        patch.revert();
        DisplacingPlan plan = lodgers.toCopy("plain");
        patch = lodgers.process.apply(plan.plan());
        long inCopy = plan.copy().boundaries().get(lodgers.site("plain") + 4);
        lodgers.hold(inCopy, inCopy + 1, "swap");
        patch.revert();
        lodgers.awaitMore("results_old", 1_000);
        lodgers.release();
        lodgers.awaitMore("results_old", 1_000);
        lodgers.fixture.assertHealthy();
      }
    }
  }

  static void refuseAFunctionThatAnotherEntersInTheMiddle() {
    try (Lodgers lodgers = Lodgers.start(call("entered"))) {
      CodeBytes before = lodgers.bytes("entered", 7);
      assertThatExceptionOfType(PlanRefusedException.class)
          .isThrownBy(() -> lodgers.jump("entered", "repl"))
          .satisfies(
              refusal -> {
                assertThat(refusal.rule()).isEqualTo(7);
                assertThat(refusal.address()).isEqualTo(lodgers.target.address("enterer") + 1);
              });
      assertThat(lodgers.bytes("entered", 7)).isEqualTo(before);
      lodgers.awaitMore("results_old", 1_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void displaceBehindEndbr64() {
    CodeBytes endbr64 = CodeBytes.ofHex("f3 0f 1e fa");
    try (Lodgers lodgers = Lodgers.start(call("marked", "--threads", "4"))) {
      long entry = lodgers.target.address("marked");
      PatchPlan plan = lodgers.jump("marked", "repl");
      assertThat(plan.pokes().get(0).address()).isEqualTo(entry + 4);
      lodgers.process.toggle(
          plan,
          100,
          Duration.ZERO,
          (nanos, window, traps, parked) -> {
            assertThat(lodgers.target.read(entry, 4)).isEqualTo(endbr64);
            return true;
          });
      assertThat(plan.steps().stream().map(Object::toString))
          .noneMatch(step -> step.contains("0x%x".formatted(entry)));
      lodgers.awaitMore("results_old", 1_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void revertAndApplyWhileAThreadIsInTheCopy() {
    try (Lodgers lodgers = Lodgers.start("--threads", "2")) {
      DisplacingPlan first = lodgers.toCopy("plain");
      for (long copy : first.copy().boundaries().values()) {
        Patch patch = lodgers.process.apply(first.plan());
        lodgers.hold(copy, copy + 1, "wait");
        CodeBytes displaced = first.copy().displaced().bytes();
        patch.revert();
        assertThat(lodgers.bytes("plain", 7)).isEqualTo(displaced);
        Patch second = lodgers.process.apply(lodgers.toCopy("plain").plan());
        lodgers.awaitMore("calls", 1_000);
        lodgers.release();
        lodgers.awaitMore("calls", 1_000);
        second.revert();
        lodgers.awaitMore("calls", 1_000);
        lodgers.fixture.assertHealthy();
      }
    }
  }

  static void patchWhatIsPatchedAlready() {
    try (Lodgers lodgers = Lodgers.start("--threads", "2")) {
      CodeBytes old = lodgers.bytes("plain", 7);
      PatchPlan second = lodgers.jump("plain", "repl");
      Patch first = lodgers.process.apply(lodgers.toCopy("plain").plan());
      CodeBytes patched = lodgers.bytes("plain", 7);

      assertThatExceptionOfType(PlanRefusedException.class)
          .isThrownBy(() -> lodgers.jump("plain", "repl"))
          .withMessageContaining("revert that patch first");
      assertThatExceptionOfType(CodeChangedException.class)
          .isThrownBy(() -> lodgers.process.apply(second))
          .satisfies(failure -> assertThat(failure.outcome()).isEqualTo(Outcome.UNTOUCHED));
      assertThat(lodgers.bytes("plain", 7)).isEqualTo(patched).isNotEqualTo(old);
      first.revert();
      assertThat(lodgers.bytes("plain", 7)).isEqualTo(old);
      lodgers.process.apply(second);
      lodgers.awaitMore("results_new", 1_000);
      lodgers.fixture.assertHealthy();
    }
  }

  static void endInTheMiddle(String how) {
    Fixture fixture = Fixture.start("lodgers", call("busy"));
    try (Lodgers lodgers = Lodgers.of(fixture, new End(fixture, how))) {
      // So no worker meets a breakpoint.
      lodgers.stay(2);
      PatchPlan plan = lodgers.jump("busy", "busy_repl");

      Throwable gone = catchThrowable(() -> lodgers.process.apply(plan));

      assertThat(gone).isInstanceOf(PatchException.class);
      if (how.equals("exit")) {
        assertThat(fixture.awaitExit(Lodgers.SOON)).isEqualTo(new ExitStatus.Exited(7));
      } else {
        Lodgers.await(() -> ProcStatus.name(fixture.pid()).equals("sleep"), "the new program");
        assertThat(fixture.isAlive()).isTrue();
      }
    }
  }

  /** Has the program end when the breakpoints stand. */
  private record End(Fixture fixture, String how) implements Interference {
    @Override
    public boolean pauses() {
      return true;
    }

    @Override
    public void before(int step) {
      // Three breakpoints, a sync, then the evacuation.
      if (step == 4) {
        fixture.command(how);
        int worker = (int) fixture.counter("worker_id_0");
        // Stopped on its way out, or gone.
        Lodgers.await(
            () -> {
              ProcStatus status = ProcStatus.read(worker);
              return status == null || "RSD".indexOf(status.state()) < 0;
            },
            "a worker to end");
      }
    }
  }

  static void displaceInAProgramWithBreakpointsOfItsOwn() {
    try (Lodgers lodgers = Lodgers.start("--threads", "3", "--own-traps")) {
      lodgers.toggle(lodgers.jump("plain", "repl"), 100);
      lodgers.awaitMore("calls", 1_000);
      lodgers.fixture.assertHealthy();
      // Each worker counts a call, then runs its breakpoint.
      long before = lodgers.fixture.counter("calls");
      long traps = lodgers.fixture.counter("own_traps");
      assertThat(traps).isBetween(before - 3, lodgers.fixture.counter("calls"));
    }
  }
}
