package io.github.textpoke.x86.detour;

import static io.github.textpoke.x86.detour.Syncing.assertEachCallFails;
import static io.github.textpoke.x86.detour.Syncing.assertIsAsBefore;
import static io.github.textpoke.x86.detour.Syncing.await;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.Inject;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtensionConfigurationException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs classes of tests, most of which fail, and looks at what is left of them. */
class InjectFailuresTest {
  private static final String BODY = "the test's own failure";

  /** How many bodies of tests were run. */
  private static final AtomicInteger BODIES = new AtomicInteger();

  /** What all of the classes below have in common: the running target. */
  static class OfServer {
    static Fixture server;
  }

  @BeforeEach
  void start() {
    BODIES.set(0);
    OfServer.server = Syncing.start();
  }

  @AfterEach
  void end() {
    OfServer.server.close();
  }

  private static JupiterRun run(Class<?> tests) {
    return JupiterRun.of(tests, ImmutableMap.of());
  }

  static class Failing extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    void fails() {
      assertEachCallFails(server);
      throw new AssertionError(BODY);
    }
  }

  @Test
  void aTestThatFailsHasItRevertedAndFailsWithNothingElse() {
    Throwable failure = run(Failing.class).failure();
    assertThat(failure).isInstanceOf(AssertionError.class).hasMessage(BODY);
    assertThat(failure.getSuppressed()).isEmpty();
    assertIsAsBefore(OfServer.server);
  }

  static class Killing extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    @Inject(function = "libc:fdatasync", returns = -1)
    void kills() {
      await(server, "failed");
      server.signal("SIGKILL");
      server.awaitExit(Syncing.TIMEOUT);
    }
  }

  @Test
  void aTargetThatHasEndedNeedsNoRevertAndTheReportSaysSo() {
    JupiterRun run = run(Killing.class);
    run.assertSucceeded(1);
    assertThat(run.notes)
        .hasSize(2)
        .allMatch(note -> note.contains(Integer.toString(OfServer.server.pid())))
        .satisfiesExactly(
            note -> assertThat(note).startsWith("libc:fdatasync needed no revert: "),
            note -> assertThat(note).startsWith("libc:fsync needed no revert: "));
  }

  private static void revertAll(Fixture server) {
    try (TargetProcess process = TargetProcess.attach(server.pid())) {
      process.patches().reverse().forEach(patch -> patch.revert());
    }
  }

  static class RevertedMeanwhile extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    void succeeds() {
      revertAll(server);
    }
  }

  @Test
  void aRevertThatFailsFailsTheTest() {
    assertThat(run(RevertedMeanwhile.class).failure()).isInstanceOf(WrongStateException.class);
    assertIsAsBefore(OfServer.server);
  }

  static class RevertedMeanwhileAndFailing extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    @Inject(function = "libc:fdatasync", returns = -1)
    void fails() {
      revertAll(server);
      throw new AssertionError(BODY);
    }
  }

  @Test
  void revertsThatFailHideNoFailureOfTheTest() {
    Throwable failure = run(RevertedMeanwhileAndFailing.class).failure();
    assertThat(failure).hasMessage(BODY);
    assertThat(failure.getSuppressed()).hasSize(1);
    assertThat(failure.getSuppressed()[0]).isInstanceOf(WrongStateException.class);
    assertThat(failure.getSuppressed()[0].getSuppressed())
        .hasSize(1)
        .hasOnlyElementsOfType(WrongStateException.class);
  }

  static class SecondRefused extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    @Inject(function = "libc:no_such_function", returns = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  @Test
  void ifOneCannotBePutInPlaceTheTestIsNotRunAndThoseBeforeItAreReverted() {
    assertThat(run(SecondRefused.class).failure()).isInstanceOf(NoSuchSymbolException.class);
    assertThat(BODIES).hasValue(0);
    // Whether a call came meanwhile is up to the scheduler.
    assertThat(TargetProcess.status(OfServer.server.pid()).patches())
        .singleElement()
        .satisfies(
            patch -> {
              assertThat(patch.entry().note().label()).contains("fsync", "returns -1");
              assertThat(patch.state()).isEqualTo(PatchStatus.State.RETIRED);
            });
    assertIsAsBefore(OfServer.server);
  }

  static class Crowd extends OfServer {
    @RepeatedTest(12)
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    @Inject(function = "libc:fdatasync", returns = -1)
    void seesCallsFail() {
      BODIES.incrementAndGet();
      assertEachCallFails(server);
    }
  }

  @Test
  void testsThatRunInParallelOnOneProcessTakeTurns() {
    JupiterRun.of(
            Crowd.class,
            ImmutableMap.of(
                "junit.jupiter.execution.parallel.enabled", "true",
                "junit.jupiter.execution.parallel.mode.default", "concurrent",
                "junit.jupiter.execution.parallel.config.strategy", "fixed",
                "junit.jupiter.execution.parallel.config.fixed.parallelism", "4"))
        .assertSucceeded(12);
    assertThat(BODIES).hasValue(12);
    assertIsAsBefore(OfServer.server);
  }

  static class NoTarget {
    @Test
    @Inject(function = "libc:fsync", returns = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class TwoFields extends OfServer {
    private ProcessHandle other;

    @Test
    @Inject(function = "libc:fsync", returns = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
      assertThat(other).isNotNull();
    }
  }

  static class InnerAndOuter extends OfServer {
    @Nested
    class Inner {
      private Process own;

      @Test
      @Inject(function = "libc:fsync", returns = -1)
      void isNotRun() {
        BODIES.incrementAndGet();
        assertThat(own).isNotNull();
      }
    }
  }

  static class NullField {
    private Fixture server;

    @Test
    @Inject(function = "libc:fsync", returns = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
      assertThat(server).isNotNull();
    }
  }

  static class UnknownName extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, process = "sever")
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class PidAndProcess extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, pid = 1, process = "server")
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class WrongType {
    private final String server = "1";

    @Test
    @Inject(function = "libc:fsync", returns = -1, process = "server")
    void isNotRun() {
      BODIES.incrementAndGet();
      assertThat(server).isNotNull();
    }
  }

  static class TooWide {
    private final long server = 1L << 32 | 1;

    @Test
    @Inject(function = "libc:fsync", returns = -1, process = "server")
    void isNotRun() {
      BODIES.incrementAndGet();
      assertThat(server).isNotZero();
    }
  }

  static class NegativePid {
    @Test
    @Inject(function = "libc:fsync", returns = -1, pid = -7)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class NoValue extends OfServer {
    @Test
    @Inject(
        function = "libc:fsync",
        returns = {})
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class UnknownErrno extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EFOO")
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class NegativeLimit extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, atMost = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  static class NegativeTime extends OfServer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, forMillis = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          NoTarget | no field of type Fixture, Process or ProcessHandle
          TwoFields | several fields that it could be: [TwoFields.other, OfServer.server]
          InnerAndOuter | several fields that it could be: [Inner.own, OfServer.server]
          NullField | NullField.server is null
          UnknownName | is named sever in io.github.textpoke.x86.detour.InjectFailuresTest$UnknownName
          PidAndProcess | both pid and process name a target: 1 and server
          WrongType | server is a java.lang.String
          TooWide | server is no process id: 4294967297
          NegativePid | pid is no process id: -7
          NoValue | libc:fsync has no value to return
          UnknownErrno | no error of the name EFOO
          NegativeLimit | at least one call returns so, not -1
          NegativeTime | a duration is positive, not PT-0.001S
          """)
  void aTestWhoseInjectionIsNotRightIsNotRunAndSaysWhy(String tests, String words)
      throws ClassNotFoundException {
    Throwable failure =
        run(Class.forName(InjectFailuresTest.class.getName() + "$" + tests)).failure();
    assertThat(failure)
        .isInstanceOf(ExtensionConfigurationException.class)
        .hasMessageStartingWith("@Inject of libc:fsync at ")
        .hasMessageContaining(words);
    assertThat(BODIES).hasValue(0);
    assertThat(OfServer.server.counter("failed")).isZero();
  }

  static class NobodysPid {
    @Test
    @Inject(function = "libc:fsync", returns = -1, pid = Integer.MAX_VALUE)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  @Test
  void aPidIsTakenAsItIs() {
    assertThat(run(NobodysPid.class).failure())
        .isInstanceOf(NoSuchProcessException.class)
        .hasMessageContaining(Integer.toString(Integer.MAX_VALUE));
  }

  static class OwnChild {
    static Process child;

    @Test
    @Inject(function = "libc:fsync", returns = -1)
    void isNotRun() {
      BODIES.incrementAndGet();
    }
  }

  @Test
  void aChildOfThisJvmIsRefusedWithWhatToDo() throws IOException {
    OwnChild.child = new ProcessBuilder("sleep", "1000").start();
    try {
      assertThat(run(OwnChild.class).failure())
          .isInstanceOf(UnsupportedTargetException.class)
          .hasMessageContaining("sh -c 'program & wait'");
    } finally {
      OwnChild.child.destroyForcibly();
    }
  }
}
