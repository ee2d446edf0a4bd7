package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.plan.CodeLine;
import io.github.textpoke.x86.plan.X86Planner;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Probes that stay breakpoints, where no jump can stand, and probes inside of functions. */
@RequiresPtrace
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class BreakpointProbesTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int THREADS = 8;
  private static final long CALLS = 1000;
  private static final int SOME = 100;
  private static final int LOOPS = 9;
  private static final int CHILD_CALLS = 1000;
  private static final int SIGKILL = 9;
  private static final int BIRTHS = Boolean.getBoolean("soak") ? 300 : 30;
  private static final List<String> BIRTH = List.of("fork", "vfork", "thread");
  private static final long SEED = 6;
  private static final int INSTRUCTIONS = Boolean.getBoolean("soak") ? 40 : 4;
  private static final List<String> BUSY =
      List.of(
          "libc:qsort_r",
          "libc:strtok_r",
          "libc:malloc",
          "libc:__vsnprintf_internal",
          "libc:rand_r");
  private static final String NORMAL = "0";
  private static final long LOOK_NANOS = 100_000;

  private static Fixture stays(String... arguments) {
    return Fixture.start("stays", arguments);
  }

  private static void awaitStopped(Fixture program) {
    program.awaitCounter("stopped", THREADS, TIMEOUT);
    program.assertHealthy();
  }

  private static void awaitCalls(Fixture program, String counter) {
    program.awaitCounter(counter, program.counter(counter) + SOME, TIMEOUT);
  }

  private static Probe probe(TargetProcess process, String pattern) {
    return Probes.in(process).at(pattern, ProbeAction.count(), ProbeStands.BREAKPOINTS_TOO);
  }

  private static String at(Fixture program, String name) {
    return "0x" + Long.toHexString(program.address(name));
  }

  private static void assertIsBreakpoint(Probe probe, String reason) {
    assertThat(probe.functions())
        .singleElement()
        .satisfies(
            function ->
                assertThat(function.stand())
                    .isInstanceOfSatisfying(
                        ProbeStand.Breakpoint.class,
                        stand -> assertThat(stand.reason()).contains(reason)));
  }

  private static int tracer(Fixture program) {
    return Objects.requireNonNull(ProcStatus.read(program.pid())).tracer();
  }

  /** How many threads have the tracer that the first one has. */
  private static long tracees(Fixture program) {
    int tracer = tracer(program);
    return Arrays.stream(ProcStatus.threads(program.pid()))
        .mapToObj(ProcStatus::read)
        .filter(thread -> thread != null && thread.tracer() == tracer)
        .count();
  }

  private static void await(BooleanSupplier condition, String what) {
    long deadline = System.nanoTime() + TIMEOUT.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - deadline).as(what).isNegative();
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "--blocked", "--handled", "--trapping"})
  void countsEveryCallOfAllThreads(String how) {
    String calls = Long.toString(CALLS);
    try (Fixture program = how.isEmpty() ? stays("--calls", calls) : stays("--calls", calls, how);
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe tiny = probe(process, "stays:tiny");
        Probe entered = probe(process, "stays:entered")) {
      assertIsBreakpoint(tiny, "rule 9");
      assertIsBreakpoint(entered, "rule 7");
      tiny.arm();
      entered.arm();
      program.command("go");
      awaitStopped(program);
      assertThat(program.counter("through")).isEqualTo(THREADS * CALLS);
      assertThat(program.counter("entered")).isEqualTo(THREADS * CALLS);
      assertThat(tiny.snapshot().total()).isEqualTo(THREADS * CALLS + program.counter("handled"));
      assertThat(program.counter("handled") > 0).isEqualTo(how.equals("--handled"));
      assertThat(program.counter("trapped"))
          .isEqualTo(how.equals("--trapping") ? THREADS * ((CALLS + 15) / 16) : 0);
      assertThat(entered.snapshot().total()).isEqualTo(THREADS * CALLS);
    }
  }

  @Test
  void aCallIsCountedOnceOrNotWhileTheProbeComesAndGoes() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = probe(process, "stays:tiny");
      program.command("go");
      for (int i = 0; i < 30; i++) {
        probe.arm();
        awaitCalls(program, "through");
        probe.disarm();
        awaitCalls(program, "calls");
      }
      program.command("stop");
      awaitStopped(program);
      long through = program.counter("through");
      assertThat(through).isBetween(30L * 100, program.counter("calls") - 100);
      assertThat(probe.snapshot().total()).isEqualTo(through);
      await(() -> tracer(program) == 0, "nobody traces it any more");
    }
  }

  /** With flags, registers and the red zone in use: a jump, and a breakpoint. */
  @ParameterizedTest
  @ValueSource(strings = {"at_jump", "at_int3"})
  void countsEachPassOfAnInstructionOfALoop(String site) {
    try (Fixture program = stays("--calls", Long.toString(CALLS / 4));
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, at(program, site))) {
      assertThat(probe.functions().get(0).stand() instanceof ProbeStand.Jump)
          .isEqualTo(site.equals("at_jump"));
      probe.arm();
      program.command("go");
      awaitStopped(program);
      assertThat(probe.snapshot().total()).isEqualTo(THREADS * (CALLS / 4) * (LOOPS - 1));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"at_jump", "at_int3"})
  void aLoopIsRightWhileAProbeInsideOfItComesAndGoes(String site) {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = probe(process, at(program, site));
      program.command("go");
      for (int i = 0; i < 30; i++) {
        probe.arm();
        awaitCalls(program, "calls");
        probe.disarm();
      }
      program.command("stop");
      awaitStopped(program);
      assertThat(probe.snapshot().total())
          .isBetween(30L * 100, program.counter("calls") * (LOOPS - 1));
    }
  }

  /** The program checks what these functions do. */
  @Test
  void anyInstructionOfFunctionsThatAreBusyCanBeProbed() {
    X86Planner planner = X86Planner.create();
    Random random = new Random(SEED);
    int jumps = 0;
    int breakpoints = 0;
    try (Fixture program = Fixture.start("probed", "--busy");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      program.command("go");
      Probes probes = Probes.in(process);
      for (String function : BUSY) {
        CodeRegion code = process.code(function);
        List<CodeLine> lines = planner.disassemble(code);
        for (int i = 0; i < INSTRUCTIONS; i++) {
          CodeLine line = lines.get(1 + random.nextInt(lines.size() - 1));
          Probe probe =
              probes.at(
                  function + "+" + (line.address() - code.address()),
                  ProbeAction.count(),
                  ProbeStands.BREAKPOINTS_TOO);
          if (probe.functions().isEmpty()) {
            assertThat(probe.unprobed()).hasSize(1);
            continue;
          }
          if (probe.functions().get(0).stand() instanceof ProbeStand.Jump) {
            jumps++;
          } else {
            breakpoints++;
          }
          probe.arm();
          awaitCalls(program, "calls");
          probe.disarm();
          program.assertHealthy();
        }
      }
      program.command("stop");
      awaitStopped(program);
    }
    assertThat(jumps).isPositive();
    assertThat(breakpoints).isPositive();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void childrenAreBornWhileThreadsRunIntoTheBreakpoints(boolean comesAndGoes) {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, "stays:*")) {
      program.command("go");
      probe.arm();
      for (int i = 1; i <= BIRTHS; i++) {
        program.command(BIRTH.get(i % BIRTH.size()));
        if (comesAndGoes) {
          probe.disarm();
          probe.arm();
        }
        program.awaitCounter("born", i, TIMEOUT);
      }
      assertThat(program.counter("born_wrong")).isZero();
      program.command("stop");
      awaitStopped(program);
    }
  }

  @Test
  void childrenLiveWithoutTheBreakpointsAndThreadsWithThem() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, "stays:tiny")) {
      probe.arm();
      program.command("fork");
      program.awaitCounter("born", 1, TIMEOUT);
      assertThat(probe.snapshot().total()).isZero();
      program.command("vfork");
      program.awaitCounter("born", 2, TIMEOUT);
      assertThat(probe.snapshot().total()).isEqualTo(1);
      program.command("thread");
      program.awaitCounter("born", 3, TIMEOUT);
      assertThat(probe.snapshot().total()).isEqualTo(1 + CHILD_CALLS);
      assertThat(program.counter("born_wrong")).isZero();
      program.assertHealthy();
    }
  }

  /** Else one of two processors would be its own. */
  @Test
  void aPokerThatStaysIsScheduledAsOthers() throws IOException {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, "stays:tiny")) {
      probe.arm();
      assertThat(policy(tracer(program))).isEqualTo(NORMAL);
      try (TargetProcess other = TargetProcess.attach(program.pid())) {
        assertThat(other.patches()).hasSize(1);
        assertThat(policy(tracer(program))).isEqualTo(NORMAL);
      }
    }
  }

  /** Of a process: proc(5), the 41st field of its stat file. */
  private static String policy(int process) throws IOException {
    String stat = Files.readString(Path.of("/proc", Integer.toString(process), "stat"));
    return stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[41 - 3];
  }

  @Test
  void aProgramThatExecutesAnotherOneGoesOnAsThat() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      probe(process, "stays:tiny").arm();
      program.command("go");
      awaitCalls(program, "through");
      program.command("exec");
      program.awaitReady(2, TIMEOUT);
      program.command("go");
      awaitCalls(program, "calls");
      program.assertHealthy();
      await(() -> tracer(program) == 0, "nobody traces it any more");
    }
  }

  @Test
  void aThreadThatBlocksTheSignalBlocksItAfterwards() {
    try (Fixture program = stays()) {
      program.command("block");
      program.awaitCounter("born", 1, TIMEOUT);
      try (TargetProcess process = TargetProcess.attach(program.pid());
          Probe probe = probe(process, "stays:tiny")) {
        probe.arm();
        program.command("mask");
        program.awaitCounter("born", 2, TIMEOUT);
        assertThat(probe.snapshot().total()).isEqualTo(1);
        assertThat(program.counter("born_wrong")).isZero();
      }
    }
  }

  @Test
  void aPokerThatIsKilledIsFollowedByOneThatGoesOnWithTheBreakpoints() {
    // Else the helper would look after a second, even if it did not see that the poker is gone.
    AttachOptions options = AttachOptions.DEFAULT.withLease(TIMEOUT.multipliedBy(2));
    try (Fixture program = stays("--calls", Long.toString(CALLS));
        TargetProcess process = TargetProcess.attach(program.pid(), options);
        Probe probe = probe(process, "stays:tiny")) {
      probe.arm();
      for (int i = 0; i < 3; i++) {
        int poker = tracer(program);
        assertThat(poker).isNotZero();
        assertThat(Kernel.sendSignal(poker, poker, SIGKILL)).isZero();
        await(() -> tracer(program) != poker && tracer(program) != 0, "another one traces it");
        // One that is not traced yet would die of a breakpoint.
        await(() -> tracees(program) == THREADS + 1, "it traces all threads");
      }
      program.command("go");
      awaitStopped(program);
      assertThat(probe.snapshot().total()).isEqualTo(THREADS * CALLS);
      probe.disarm();
      assertThat(program.counter("through")).isEqualTo(THREADS * CALLS);
    }
  }

  private static Process anotherJvm(Fixture program, String... arguments) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                ProbesFromAnotherJvm.class.getName(),
                Integer.toString(program.pid())));
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }

  @Test
  void aJvmThatIsKilledWhileItArmsAndDisarmsLeavesAProgramThatIsRight() throws Exception {
    Random random = new Random();
    for (int i = 0; i < (Boolean.getBoolean("soak") ? 15 : 2); i++) {
      try (Fixture program = stays("--threads", "3")) {
        program.command("go");
        Process other = anotherJvm(program, "stays:*", "comes and goes");
        try (BufferedReader output = other.inputReader(StandardCharsets.UTF_8)) {
          for (int rounds = random.nextInt(10); rounds >= 0; rounds--) {
            assertThat(output.readLine()).isEqualTo("armed");
          }
          LockSupport.parkNanos(random.nextInt(10_000_000));
        } finally {
          other.destroyForcibly().waitFor();
        }
        awaitCalls(program, "calls");
        program.assertHealthy();
        try (TargetProcess process = TargetProcess.attach(program.pid())) {
          process.recover();
          process.patches().forEach(Patch::revert);
          assertThat(process.status().patches())
              .extracting(PatchStatus::state)
              .allMatch(PatchStatus.State.RETIRED::equals);
        }
        await(() -> tracer(program) == 0, "nobody traces it any more");
        awaitCalls(program, "calls");
        program.assertHealthy();
      }
    }
  }

  @Test
  void breakpointsOutliveAJvmThatIsKilledAndAnotherOneTakesThemBack() throws Exception {
    try (Fixture program = stays()) {
      Process other = anotherJvm(program, "stays:tiny", "stays");
      try (BufferedReader output = other.inputReader(StandardCharsets.UTF_8)) {
        assertThat(output.readLine()).isEqualTo("armed");
      } finally {
        other.destroyForcibly().waitFor();
      }
      program.command("go");
      awaitCalls(program, "through");
      assertThat(TargetProcess.status(program.pid()).patches())
          .extracting(PatchStatus::state)
          .containsExactly(PatchStatus.State.APPLIED);
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        awaitCalls(program, "through");
        assertThat(process.recover()).isEmpty();
        process.patches().forEach(Patch::revert);
        long through = program.counter("through");
        awaitCalls(program, "calls");
        assertThat(program.counter("through")).isBetween(through, through + THREADS);
      }
      program.command("stop");
      awaitStopped(program);
      await(() -> tracer(program) == 0, "nobody traces it any more");
    }
  }

  @Test
  void otherHandlesPatchMeanwhileAndEachRevertsWhatAnotherOneHasPut() {
    try (Fixture program = stays()) {
      program.command("go");
      try (TargetProcess first = TargetProcess.attach(program.pid())) {
        Probe tiny = probe(first, "stays:tiny");
        tiny.arm();
        try (TargetProcess second = TargetProcess.attach(program.pid())) {
          Probe entered = probe(second, "stays:entered");
          entered.arm();
          awaitCalls(program, "through");
          awaitCalls(program, "entered");
          tiny.disarm();
          awaitCalls(program, "entered");
          second.patches().forEach(Patch::revert);
          tiny.arm();
        }
        awaitCalls(program, "through");
      }
      // The handles are closed, and the breakpoint stands on.
      awaitCalls(program, "through");
      try (TargetProcess third = TargetProcess.attach(program.pid())) {
        third.patches().forEach(Patch::revert);
        assertThat(third.patches()).isEmpty();
      }
      program.command("stop");
      awaitStopped(program);
    }
  }

  /** The ledger has no room for it, so a session is begun that makes some. */
  @Test
  void aBreakpointStandsAgainWhenALargeProbeIsMade() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, "stays:tiny")) {
      program.command("go");
      probe.arm();
      assertThat(probe(process, "libc:*").functions()).hasSizeGreaterThan(1000);
      awaitCalls(program, "through");
      program.command("stop");
      awaitStopped(program);
      assertThat(probe.snapshot().total()).isEqualTo(program.counter("through"));
    }
  }

  @Test
  void aBreakpointStandsAgainAfterWhatNeedsTheThreadsForItself() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, "stays:tiny")) {
      program.command("go");
      probe.arm();
      for (int i = 0; i < 5; i++) {
        // What the stepwise engine does.
        assertThat(process.unused(ImmutableList.of())).isEmpty();
        awaitCalls(program, "through");
      }
      program.command("stop");
      awaitStopped(program);
      assertThat(probe.snapshot().total()).isEqualTo(program.counter("through"));
    }
  }

  @Test
  void overABreakpointNothingElseStandsAndBesideItAllDoes() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid());
        Probe probe = probe(process, "stays:tiny")) {
      probe.arm();
      program.command("go");
      assertThat(probe(process, "stays:tiny").unprobed())
          .singleElement()
          .satisfies(function -> assertThat(function.reason()).contains("revert it first"));
      assertThatThrownBy(() -> Detours.in(process).at("stays:entered").toItself())
          .isInstanceOf(PlanRefusedException.class);
      assertThatThrownBy(() -> Detours.in(process).at("stays:tiny").toItself())
          .isInstanceOf(PlanRefusedException.class);
      Detour beside = Detours.in(process).at("stays:looped").toItself();
      awaitCalls(program, "through");
      beside.revert();
      awaitCalls(program, "through");
      program.command("stop");
      awaitStopped(program);
      assertThat(probe.snapshot().total()).isLessThanOrEqualTo(program.counter("calls"));
      assertThat(probe.snapshot().total()).isEqualTo(program.counter("through"));
    }
  }

  /** A function whose second instruction has a probe can't be displaced. */
  @Test
  void aBreakpointBecomesAJumpWhenItIsArmedAgainAndItsObstacleIsGone() {
    try (Fixture program = stays();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe inside = probe(process, "stays:looped+3");
      Probe probe = probe(process, "stays:looped");
      assertThat(probe.functions().get(0).stand()).isInstanceOf(ProbeStand.Jump.class);
      inside.arm();
      program.command("go");
      probe.arm();
      assertIsBreakpoint(probe, "rule 7");
      awaitCalls(program, "calls");
      probe.disarm();
      inside.disarm();
      probe.arm();
      assertThat(probe.functions().get(0).stand()).isInstanceOf(ProbeStand.Jump.class);
      awaitCalls(program, "calls");
      probe.disarm();
      program.command("stop");
      awaitStopped(program);
      // Of those that were awaited, each worker may have had one behind it when the probe came.
      assertThat(probe.snapshot().total())
          .isBetween(2L * (SOME - THREADS), program.counter("calls"));
    }
  }
}
