package io.github.textpoke.x86.follow;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.Iterables;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.FollowedProgram;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.OtherJvm;
import io.github.textpoke.apply.ProgramEnd;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.detour.ReturnOverride;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.UnaryOperator;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Programs that the children of others execute. The one that is patched is killed by what runs
 * before its main, if that is not patched before.
 */
@RequiresPtrace
@Timeout(value = 60, unit = TimeUnit.SECONDS)
final class FollowedChildrenTest {
  private static final int EARLY = 3;
  private static final int KILLED_BY_ABORT = 128 + 6;

  @TempDir private Path folder;

  @BeforeAll
  static void libraryIsBesideTheProgram() {
    Fixture.program("libearly.so");
  }

  private Launch launch(List<String> command) {
    return TargetProcess.launch(command)
        .output(Redirect.to(folder.resolve("output").toFile()))
        .error(Redirect.to(folder.resolve("error").toFile()));
  }

  private Launch executor(String way, String program, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Fixture.program("executor").toString());
    command.add(way);
    command.add(Fixture.program(program).toString());
    Collections.addAll(command, arguments);
    return launch(command);
  }

  private static void returningZero(TargetProcess process, String... sites) {
    for (String site : sites) {
      Detours.in(process).at(site).returning(ReturnOverride.returning(0));
    }
  }

  /** What lets a program that is called so begin. */
  private static Launch patched(Launch launch) {
    return launch
        .patchAtEntry(
            process -> {
              if (isEarly(process.pid())) {
                returningZero(process, "early_in_preinit", "early_in_constructor");
              }
            })
        .patch(
            process -> {
              if (isEarly(process.pid())) {
                returningZero(process, "libearly.so:early_in_library");
              }
            });
  }

  private static boolean isEarly(int pid) {
    try {
      return Files.readSymbolicLink(Path.of("/proc/" + pid + "/exe"))
          .equals(Fixture.program("early"));
    } catch (IOException gone) {
      return false;
    }
  }

  private static ProgramEnd run(FollowedChildren children, Launch launch)
      throws InterruptedException {
    try (Launched program = children.in(launch).start()) {
      return program.waitFor();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "exec",
        "thread",
        "fork",
        "vfork",
        "spawn",
        "system",
        "popen",
        "path",
        "at",
        "descriptor",
        "failing"
      })
  void nothingOfWhatIsExecutedRunsBeforeItIsPatched(String way) throws Exception {
    try (FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched)) {
      ProgramEnd end = run(children, executor(way, "early"));

      assertThat(children.programs()).isNotEmpty();
      assertThat(children.programs())
          .allSatisfy(program -> assertThat(program.failure()).as("%s", program).isEmpty());
      assertThat(Iterables.getLast(children.programs()).file()).isEqualTo(Fixture.program("early"));
      assertThat(end).isEqualTo(new ProgramEnd(EARLY, 0));
      assertThat(Files.readString(folder.resolve("output"))).isEqualTo("main\n");
    }
  }

  @Test
  void whatIsExecutedByASystemCallOfTheProgramsOwnIsNotFollowed() throws Exception {
    try (FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched)) {
      assertThat(run(children, executor("raw", "early")))
          .isEqualTo(new ProgramEnd(KILLED_BY_ABORT, 0));
      assertThat(children.programs()).isEmpty();
    }
  }

  @Test
  void manyAreFollowedAtOnce() throws Exception {
    try (FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched)) {
      assertThat(run(children, executor("many", "early")))
          .isEqualTo(new ProgramEnd(8 * 5 * EARLY, 0));
      assertThat(children.programs())
          .hasSize(8 * 5)
          .allSatisfy(program -> assertThat(program.failure()).isEmpty());
    }
  }

  /** A poker traces those that share the memory, and so do we: the one or the other has to wait. */
  @Test
  void whileTheirParentIsPatchedEachIsFollowedOrSaidNotToBe() throws Exception {
    try (FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched);
        Launched program = children.in(executor("many", "early")).start()) {
      int changes = 0;
      while (program.isAlive()) {
        try {
          Detours.in(program.process())
              .at("libc:fsync")
              .returning(ReturnOverride.returning(0))
              .revert();
          changes++;
        } catch (TargetGoneException | NoSuchProcessException | UnwritableMappingException end) {
          break;
        }
      }

      assertThat(changes).isPositive();
      ProgramEnd end = program.waitFor();
      assertThat(children.programs()).hasSize(8 * 5);
      int unpatched =
          (int) children.programs().stream().filter(each -> each.failure().isPresent()).count();
      int sum = (8 * 5 - unpatched) * EARLY + unpatched * KILLED_BY_ABORT;
      assertThat(end).isEqualTo(new ProgramEnd(sum & 0xff, 0));
    }
  }

  @Test
  void whatGoesOnWhileThisJvmIsTooSlowIsSaidNotToBeFollowed() throws Exception {
    CompletableFuture<Launched> started = new CompletableFuture<>();
    UnaryOperator<Launch> slow =
        launch -> {
          try {
            started.join().waitFor();
          } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
          }
          return patched(launch);
        };
    try (FollowedChildren children = FollowedChildren.with(slow);
        Launched program = children.in(executor("many", "early")).start()) {
      started.complete(program);

      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(8 * 5 * KILLED_BY_ABORT & 0xff, 0));
      while (children.programs().size() < 2) {
        LockSupport.parkNanos(1_000_000);
      }
      assertThat(children.programs().get(1).failure())
          .map(Throwable::getMessage)
          .get(InstanceOfAssertFactories.STRING)
          .contains("this JVM was too slow");
      assertThat(children.programs()).allMatch(each -> each.failure().isPresent());
    }
  }

  @Test
  void whatIsNotPatchedSinceThatFailsRunsAsItIs() throws Exception {
    UnaryOperator<Launch> fails =
        launch ->
            patched(launch)
                .patch(
                    process -> {
                      throw new IllegalStateException("as the test wants it");
                    });
    try (FollowedChildren children = FollowedChildren.with(fails)) {
      assertThat(run(children, executor("fork", "early")))
          .isEqualTo(new ProgramEnd(KILLED_BY_ABORT, 0));
      assertThat(Iterables.getOnlyElement(children.programs()).failure())
          .map(Throwable::getMessage)
          .contains("as the test wants it");
    }
  }

  @Test
  void whatIsExecutedHasAllThatItHasWithoutUs() throws Exception {
    try (FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched)) {
      for (String way : List.of("spawn", "fork", "exec")) {
        try (Launched program = executor(way, "inherited").start()) {
          assertThat(program.waitFor()).isEqualTo(new ProgramEnd(0, 0));
        }
        String expected = Files.readString(folder.resolve("output"));

        assertThat(run(children, executor(way, "inherited"))).isEqualTo(new ProgramEnd(0, 0));
        assertThat(Files.readString(folder.resolve("output"))).isEqualTo(expected);
        assertThat(Iterables.getLast(children.programs()).failure()).isEmpty();
      }
      assertThat(run(children, executor("spawn", "inherited", "exit", "17")))
          .isEqualTo(new ProgramEnd(17, 0));
      assertThat(run(children, executor("vfork", "inherited", "kill", "10")))
          .isEqualTo(new ProgramEnd(138, 0));
    }
  }

  @Test
  void programThatChangesItsUserIsLeftAlone() throws Exception {
    Path changing = Files.copy(Fixture.program("inherited"), folder.resolve("changing"));
    Files.setAttribute(changing, "unix:mode", 04755);
    try (FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched)) {
      List<String> command =
          List.of(
              Fixture.program("executor").toString(), "spawn", changing.toString(), "exit", "4");

      assertThat(run(children, launch(command))).isEqualTo(new ProgramEnd(4, 0));
      assertThat(Iterables.getOnlyElement(children.programs()).failure().orElseThrow())
          .isInstanceOf(UnsupportedTargetException.class)
          .hasMessageContaining("changes the rights");
    }
  }

  @Test
  void programOf32BitsRunsAsItIs() throws Exception {
    try (FollowedChildren children = FollowedChildren.with(launch -> launch);
        Launched program = children.in(executor("fork", "i386")).start()) {
      while (children.programs().isEmpty()) {
        Thread.onSpinWait();
      }
      FollowedProgram followed = children.programs().get(0);

      assertThat(followed.failure().orElseThrow()).hasMessageContaining("32 bits");
      ProcessHandle child = ProcessHandle.of(followed.pid()).orElseThrow();
      assertThat(child.info().command()).contains(Fixture.program("i386").toString());
      child.destroyForcibly();
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(137, 0));
    }
  }

  @Test
  void staticProgramIsPatchedAtItsEntry() throws Exception {
    try (FollowedChildren children =
        FollowedChildren.with(
            launch ->
                launch.patch(
                    process ->
                        returningZero(process, "early_in_preinit", "early_in_constructor")))) {
      assertThat(run(children, executor("fork", "early_static")))
          .isEqualTo(new ProgramEnd(EARLY, 0));
      // It has no execve, or one that is told of.
      assertThat(children.programs()).hasSize(1);
    }
  }

  @Test
  void whatIsExecutedAfterTheEndIsNotFollowed() throws Exception {
    Path go = folder.resolve("go");
    FollowedChildren children = FollowedChildren.with(FollowedChildrenTest::patched);
    String script = "while [ ! -e " + go + " ]; do :; done; " + Fixture.program("early");
    try (Launched program =
        children.in(launch(List.of("/bin/sh", "-c", script + "; exit $?"))).start()) {
      children.close();
      Files.createFile(go);
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(KILLED_BY_ABORT, 0));
      assertThat(children.programs()).isEmpty();
    }
  }

  /** It is held in its process, and nobody lets it go. */
  @ParameterizedTest
  @ValueSource(strings = {"entry", "loaded", "begun"})
  void whereTheJvmIsKilledProgramsGoOn(String moment) throws Exception {
    Path go = folder.resolve("go");
    Path end = folder.resolve("end");
    String waits = moment.equals("begun") ? "while [ ! -e " + go + " ]; do :; done; " : "";
    String script = waits + "/bin/true && /bin/true && echo on > " + end + ".new";
    String moves = "; /bin/mv " + end + ".new " + end;
    try (OtherJvm jvm =
        OtherJvm.start(FollowFromAnotherJvm.class, moment, "/bin/sh", "-c", script + moves)) {
      jvm.awaitLine("there");
    }
    Files.createFile(go);
    // Nobody tells: its parent has ended.
    while (!Files.exists(end)) {
      Thread.onSpinWait();
    }
    assertThat(Files.readString(end)).isEqualTo("on\n");
  }
}
