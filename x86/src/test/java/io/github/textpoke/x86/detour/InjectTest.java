package io.github.textpoke.x86.detour;

import static io.github.textpoke.x86.detour.Syncing.assertEachCallFails;
import static io.github.textpoke.x86.detour.Syncing.assertIsAsBefore;
import static io.github.textpoke.x86.detour.Syncing.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.Inject;
import java.io.BufferedWriter;
import java.io.IOException;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

/** Uses what it tests. What fails is in {@link InjectFailuresTest}. */
class InjectTest {
  /** The life of a server, as the tests of somebody else's have it. */
  abstract static class OfSyncer {
    private Fixture server;

    @BeforeEach
    void start() {
      server = Syncing.start();
      await(server, "ok");
    }

    @AfterEach
    void isAsBefore() {
      try (Fixture ending = server) {
        assertIsAsBefore(ending);
      }
    }

    Fixture server() {
      return server;
    }
  }

  @Retention(RetentionPolicy.RUNTIME)
  @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
  @interface NoSync {}

  @Nested
  class WithoutATarget extends OfSyncer {
    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    void theOneFieldIsIt() {
      assertEachCallFails(server());
    }

    @Test
    @NoSync
    void anAnnotationMayBePartOfAnother() {
      assertEachCallFails(server());
    }

    @Test
    void aTestThatIsNotAnnotatedIsLeftAlone() {
      assertIsAsBefore(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", everyNth = 3, atMost = 100)
    void noMoreCallsFailThanWasSaid() {
      server().awaitCounter("calls", server().counter("calls") + 1000, Syncing.TIMEOUT);
      await(server(), "ok");
      assertThat(server().counter("failed")).isEqualTo(100);
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", forMillis = 2000)
    void itEndsByItselfWhenItsTimeIsOver() {
      await(server(), "ok");
      long failed = server().counter("failed");
      await(server(), "ok");
      assertThat(failed).isPositive();
      assertThat(server().counter("failed")).isEqualTo(failed);
    }

    @Test
    @Inject(
        function = "libc:fsync",
        returns = {-1, -1, -1},
        errno = "EIO")
    void severalValuesAreReturnedOnceEach() {
      await(server(), "ok");
      server().awaitCounter("failed", 3, Syncing.TIMEOUT);
      await(server(), "ok");
      assertThat(server().counter("failed")).isEqualTo(3);
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    @Inject(function = "libc:fsync", returns = 0, atMost = 50)
    void theLaterOfOneFunctionHasTheCallsFirst() {
      await(server(), "failed");
      assertEachCallFails(server());
      try (TargetProcess process = TargetProcess.attach(server().pid())) {
        assertThat(process.patches()).hasSize(2);
      }
    }

    @RepeatedTest(2)
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    void eachRepetitionHasItsOwn() {
      assertEachCallFails(server());
      try (TargetProcess process = TargetProcess.attach(server().pid())) {
        assertThat(process.patches()).hasSize(1);
      }
    }
  }

  @Nested
  class Named extends OfSyncer {
    private int number;
    private long wide;
    private Integer boxed;
    private Long boxedWide;
    private ProcessHandle handle;
    private static Fixture shared;

    @BeforeEach
    void set() {
      number = server().pid();
      wide = number;
      boxed = number;
      boxedWide = wide;
      handle = ProcessHandle.of(number).orElseThrow();
      shared = server();
    }

    private static int method() {
      return shared.pid();
    }

    private Object methodOfObject() {
      return handle;
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "number")
    void byAFieldOfInt() {
      assertThat(number).isPositive();
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "wide")
    void byAFieldOfLong() {
      assertThat(wide).isPositive();
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "boxed")
    void byAnInteger() {
      assertThat(boxed).isPositive();
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "boxedWide")
    void byALong() {
      assertThat(boxedWide).isPositive();
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "handle")
    void byAProcessHandle() {
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "shared")
    void byAStaticField() {
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "method")
    void byAPrivateStaticMethod() {
      assertThat(method()).isPositive();
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "methodOfObject")
    void byWhatAMethodGives() {
      assertThat(methodOfObject()).isNotNull();
      assertEachCallFails(server());
    }
  }

  @Nested
  @Inject(function = "libc:fsync", returns = -1, errno = "EIO", process = "server")
  class OnAClass extends OfSyncer {
    @Test
    void itIsForEachTest() {
      assertEachCallFails(server());
    }

    @Test
    @Inject(function = "libc:fsync", returns = 0, process = "server")
    void thoseOfTheMethodComeFirst() {
      await(server(), "ok");
      long failed = server().counter("failed");
      await(server(), "ok");
      assertThat(server().counter("failed")).isEqualTo(failed);
    }

    @Nested
    class InsideOfIt {
      @Test
      void itIsForNestedTestsToo() {
        assertEachCallFails(server());
      }

      @Test
      @Inject(function = "libc:fsync", returns = 0)
      void theTargetMayBeAnEnclosingInstances() {
        await(server(), "ok");
        long failed = server().counter("failed");
        await(server(), "ok");
        assertThat(server().counter("failed")).isEqualTo(failed);
      }
    }
  }

  @Nested
  class Derived extends OfSyncerThatFails {
    @Test
    void itIsForDerivedClassesToo() {
      assertEachCallFails(server());
    }
  }

  @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
  abstract static class OfSyncerThatFails extends OfSyncer {}

  /** As somebody else's server is started; it has no counters, so its ledger is asked. */
  @Nested
  class OfAShell {
    private Process shell;

    @BeforeEach
    void start() throws IOException {
      shell =
          new ProcessBuilder("sh", "-c", "exec 3<&0; cat <&3 & wait")
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      // An answer tells that it is cat that runs, and no longer a copy of the shell.
      BufferedWriter question = shell.outputWriter();
      question.write("anybody?\n");
      question.flush();
      assertThat(shell.inputReader().readLine()).isEqualTo("anybody?");
    }

    @AfterEach
    void end() {
      ProcessHandle cat = shell.children().findFirst().orElseThrow();
      try (TargetProcess process = TargetProcess.attach((int) cat.pid())) {
        assertThat(process.patches()).isEmpty();
      }
      cat.destroyForcibly();
      shell.destroyForcibly();
    }

    @Test
    @Inject(function = "libc:fsync", returns = -1, errno = "EIO")
    void aShellStandsForItsChild() {
      int cat = (int) shell.children().findFirst().orElseThrow().pid();
      assertThat(TargetProcess.status(cat).patches())
          .singleElement()
          .satisfies(
              patch -> assertThat(patch.entry().note().label()).contains("fsync", "returns -1"));
    }
  }
}
