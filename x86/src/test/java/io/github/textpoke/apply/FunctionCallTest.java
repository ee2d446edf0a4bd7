package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.CallOutcome.Crashed;
import io.github.textpoke.apply.CallOutcome.Ended;
import io.github.textpoke.apply.CallOutcome.Returned;
import io.github.textpoke.apply.CallOutcome.TimedOut;
import io.github.textpoke.apply.ObjectSegment.Access;
import io.github.textpoke.fixtures.ExitStatus;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A function of a living target, called on a thread of ours. */
@RequiresPtrace
@Timeout(180)
class FunctionCallTest {
  private static final Duration SOON = Duration.ofSeconds(60);

  /** Of a call that never ends; but on a busy machine, too, it has begun by then. */
  private static final Duration SHORT = Duration.ofSeconds(2);

  private static final int ALL_KINDS = 7;

  private static CallOutcome call(
      TargetProcess process, Fixture fixture, String function, long a, long b) {
    return process.call(fixture.address(function), a, b, SOON);
  }

  private static long mappingsOfCalls(Fixture fixture) {
    return MemoryMap.read(fixture.pid()).mappings().stream()
        .filter(mapping -> mapping.path().equals("/memfd:textpoke-call"))
        .count();
  }

  /** Code, what it finds, a guard, the stack, the thread. */
  private static final long MAPPINGS_OF_A_THREAD = 5;

  private static void assertGoesOn(Fixture fixture) {
    long before = fixture.counter("rounds");
    long ticks = fixture.counter("ticks");
    fixture.awaitCounter("rounds", before + 1_000, SOON);
    fixture.awaitCounter("ticks", ticks + 10, SOON);
    assertThat(fixture.counter("handled")).isZero();
    assertThat(fixture.counter("ticks_elsewhere")).isZero();
    fixture.assertHealthy();
  }

  @ParameterizedTest
  @EnumSource(EngineChoice.class)
  void whatAFunctionReturnsIsToldAndOneThreadsMemoryIsLeftOfAllCalls(EngineChoice engine) {
    try (Fixture fixture = Fixture.start("called")) {
      int threads = ProcStatus.threads(fixture.pid()).length;
      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        for (long i = -20; i < 20; i++) {
          assertThat(call(process, fixture, "sum", i, 1L << 40))
              .isEqualTo(new Returned(i + (1L << 40)));
        }
      }
      assertThat(mappingsOfCalls(fixture)).isEqualTo(MAPPINGS_OF_A_THREAD);
      assertThat(ProcStatus.threads(fixture.pid())).hasSize(threads);
      assertGoesOn(fixture);
    }
  }

  @ParameterizedTest
  @CsvSource({"100000,1", "20000,7"})
  void theCLibraryWorksBesideThreadsThatUseItToo(long rounds, long kinds) {
    try (Fixture fixture = Fixture.start("called", "--threads", "3");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThat(call(process, fixture, "use_libc", rounds, kinds)).isEqualTo(new Returned(0));
      assertGoesOn(fixture);
    }
  }

  @Test
  void threadLocalVariablesAreTheThreadsOwnAndItIsTheSameThreadAgain() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThat(call(process, fixture, "use_own_variables", 5, 0)).isEqualTo(new Returned(1017));
      for (int i = 5; i < 8; i++) {
        assertThat(call(process, fixture, "use_own_variables", i + 1, 0))
            .isEqualTo(new Returned(1000 + 2 * i));
      }
      assertGoesOn(fixture);
    }
  }

  @Test
  void variablesOfALibraryThatWasLoadedLaterAreTheThreadsOwnToo() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThat(call(process, fixture, "use_loaded", 0, 0)).isEqualTo(new Returned(1));
      assertGoesOn(fixture);
    }
  }

  @Test
  void threadsThatAFunctionStartsWorkAndMayStay() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThat(call(process, fixture, "start_threads", 20, 0)).isEqualTo(new Returned(210));
      assertThat(call(process, fixture, "start_worker", 0, 0)).isEqualTo(new Returned(0));
      process.close();
      fixture.awaitCounter("rounds_9", 1_000, SOON);
      assertGoesOn(fixture);
    }
  }

  @Test
  void filesThatAFunctionOpensAreTheProgramsOwn() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      long descriptor = returned(call(process, fixture, "open_file", 0, 0));
      assertThat(descriptor).isBetween(3L, 1000L);
      fixture.command("check " + descriptor);
      fixture.awaitCounter("is_open", 2, SOON);
    }
  }

  private static long returned(CallOutcome outcome) {
    assertThat(outcome).isInstanceOf(Returned.class);
    return ((Returned) outcome).value();
  }

  @Test
  void aForkedChildReturnsAndEndsAndTheParentGetsItsStatus() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      for (int i = 0; i < 10; i++) {
        assertThat(call(process, fixture, "fork_child", 0, 0)).isEqualTo(new Returned(0));
      }
      assertGoesOn(fixture);
    }
  }

  @ParameterizedTest
  @CsvSource({"0,11", "1,6", "2,4", "3,5", "4,8", "5,11", "6,11"})
  void aCrashEndsTheCallAndTheProgramDoesNotSeeIt(long kind, int signal) {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      CallOutcome outcome = call(process, fixture, "crash", kind, 0);
      assertThat(outcome).isInstanceOf(Crashed.class);
      Crashed crashed = (Crashed) outcome;
      assertThat(crashed.signal()).isEqualTo(signal);
      assertThat(MemoryMap.read(fixture.pid()).at(crashed.address()))
          .hasValueSatisfying(mapping -> assertThat(mapping.executable()).isTrue());
      assertThat(mappingsOfCalls(fixture)).isPositive();
      assertThat(call(process, fixture, "sum", 3, 4)).isEqualTo(new Returned(7));
      // glibc holds a lock while it aborts, which a fork would wait for.
      assertThat(call(process, fixture, "fork_child", 0, 0)).isEqualTo(new Returned(0));
      process.close();
      assertGoesOn(fixture);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"loop", "sleep_on"})
  void aFunctionThatDoesNotReturnIsEnded(String function) {
    try (Fixture fixture = Fixture.start("called")) {
      int threads = ProcStatus.threads(fixture.pid()).length;
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        assertThat(process.call(fixture.address(function), 0, 0, SHORT))
            .isEqualTo(new TimedOut(true));
      }
      assertThat(fixture.counter("begun")).isEqualTo(1);
      assertThat(mappingsOfCalls(fixture)).isPositive();
      assertThat(ProcStatus.threads(fixture.pid())).hasSize(threads);
      assertGoesOn(fixture);
    }
  }

  /** A parent of vfork hears of nothing but its own death until the child has let go. */
  @Test
  void aFunctionThatCanNotBeInterruptedIsLeftAloneAndThatIsSaid() {
    try (Fixture fixture = Fixture.start("called")) {
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        assertThat(process.call(fixture.address("hang"), 0, 0, SHORT))
            .isEqualTo(new TimedOut(false));
      }
      assertThat(fixture.counter("begun")).isEqualTo(1);
      assertThat(mappingsOfCalls(fixture)).isPositive();
      assertGoesOn(fixture);
    }
  }

  @Test
  void aFunctionGoesOnAndItsThreadEndsWhereTheJvmIsKilledMeanwhile() {
    try (Fixture fixture = Fixture.start("called")) {
      int threads = ProcStatus.threads(fixture.pid()).length;
      try (OtherJvm caller =
          OtherJvm.start(CutOffCaller.class, fixture.pid(), fixture.address("wait_for_release"))) {
        caller.awaitLine(CutOffCaller.CALLING);
        fixture.awaitCounter("begun", 1, SOON);
      }
      assertGoesOn(fixture);
      assertThat(fixture.counter("finished")).isZero();
      fixture.command("release");
      fixture.awaitCounter("finished", 1, SOON);
      long deadline = System.nanoTime() + SOON.toNanos();
      while (ProcStatus.threads(fixture.pid()).length > threads) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        LockSupport.parkNanos(100_000);
      }
      assertGoesOn(fixture);
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        assertThat(call(process, fixture, "sum", 3, 4)).isEqualTo(new Returned(7));
      }
    }
  }

  @Test
  void aFunctionThatEndsItsThreadIsToldFromOneThatReturns() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThat(call(process, fixture, "end_thread", 0, 0)).isEqualTo(new Ended());
      assertThat(call(process, fixture, "sum", 3, 4)).isEqualTo(new Returned(7));
      assertGoesOn(fixture);
    }
  }

  @Test
  void aFunctionMayEndTheProcess() {
    for (int i = 0; i < 10; i++) {
      try (Fixture fixture = Fixture.start("called");
          TargetProcess process = TargetProcess.attach(fixture.pid())) {
        assertThatExceptionOfType(TargetGoneException.class)
            .isThrownBy(() -> call(process, fixture, "end_process", 7, 0));
        assertThat(fixture.awaitExit(SOON)).isEqualTo(new ExitStatus.Exited(7));
      }
    }
  }

  @Test
  void aFunctionMayRunAnotherProgram() {
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThatExceptionOfType(TargetExecedException.class)
          .isThrownBy(() -> call(process, fixture, "run_other", 0, 0));
      process.close();
      assertThat(ProcStatus.name(fixture.pid())).isEqualTo("sleep");
      assertThat(fixture.exitStatus()).isEmpty();
    }
  }

  @Test
  void codeInMemoryOfOursIsRunAndThenUnmapped() {
    // lea eax, [rdi + rsi + 7]; ret
    CodeBytes code = CodeBytes.ofHex("8d 44 37 07 c3");
    try (Fixture fixture = Fixture.start("called");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      ObjectMemory memory = process.objectMemory();
      long base = memory.room(fixture.address("sum"), fixture.address("sum"), 4096);
      assertThat(
              memory.map(
                  "new.so",
                  ImmutableList.of(new ObjectSegment(base, 4096, Access.READ_EXECUTE, code))))
          .isTrue();
      assertThat(process.call(base, 30, 5, SOON)).isEqualTo(new Returned(42));
      memory.unmap("new.so", base, base + 4096);
      assertThatExceptionOfType(UnwritableMappingException.class)
          .isThrownBy(() -> process.call(base, 30, 5, SOON))
          .withMessageContaining("no function is there");
      assertGoesOn(fixture);
    }
  }

  @Test
  void aProgramWithOneThreadIsRefusedBeforeAnythingRuns() {
    try (Fixture fixture = Fixture.start("called", "--threads", "0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      assertThatExceptionOfType(UnsupportedTargetException.class)
          .isThrownBy(() -> call(process, fixture, "sum", 1, 2))
          .withMessageContaining("one thread");
      assertThat(mappingsOfCalls(fixture)).isZero();
      fixture.assertHealthy();
    }
  }
}
