package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.ProgramEnd;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Programs that are patched before they begin. What must not run, kills them if it does. */
@RequiresPtrace
@Timeout(value = 60, unit = TimeUnit.SECONDS)
final class LaunchTest {
  private static final int SIGABRT = 6;

  @TempDir Path folder;

  @BeforeAll
  static void libraryIsBesideTheProgram() {
    Fixture.program("libearly.so");
  }

  private Launch launch(String program, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Fixture.program(program).toString());
    command.addAll(List.of(arguments));
    return TargetProcess.launch(command)
        .output(Redirect.to(folder.resolve("output").toFile()))
        .error(Redirect.to(folder.resolve("error").toFile()));
  }

  private String output() throws IOException {
    return Files.readString(folder.resolve("output"));
  }

  private static ProgramEnd run(Launch launch) throws InterruptedException {
    try (Launched program = launch.start()) {
      return program.waitFor();
    }
  }

  private static void returning(TargetProcess process, long value, String... sites) {
    for (String site : sites) {
      Detours.in(process).at(site).returning(ReturnOverride.returning(value));
    }
  }

  @Test
  void withoutPatchesItIsKilledByWhatRunsBeforeMain() throws Exception {
    assertThat(run(launch("early"))).isEqualTo(new ProgramEnd(0, SIGABRT));
    assertThat(output()).isEmpty();
  }

  @Test
  void nothingOfItAndOfItsLibrariesRunsBeforeItIsPatched() throws Exception {
    ProgramEnd end =
        run(
            launch("early")
                .patch(
                    process ->
                        returning(
                            process,
                            0,
                            "early:early_in_preinit",
                            "early:early_in_constructor",
                            "libearly.so:early_in_library")));

    assertThat(end).isEqualTo(new ProgramEnd(3, 0));
    assertThat(output()).isEqualTo("main\n");
  }

  @Test
  void theExecutableCanBePatchedAtItsEntryAndItsLibrariesWhenTheyAreLoaded() throws Exception {
    ProgramEnd end =
        run(
            launch("early")
                .patchAtEntry(process -> returning(process, 0, "early_in_preinit"))
                .patchAtEntry(
                    process -> {
                      assertThat(process.resolver().symbols("libc*:malloc")).isEmpty();
                      returning(process, 0, "early_in_constructor");
                      returning(process, 42, "early_result");
                    })
                .patch(process -> returning(process, 0, "libearly.so:early_in_library")));

    assertThat(end).isEqualTo(new ProgramEnd(42, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"early_static", "early_static_pie"})
  void aStaticProgramIsPatchedAtItsEntry(String program) throws Exception {
    ProgramEnd end =
        run(
            launch(program)
                .patch(
                    process -> {
                      returning(process, 0, "early_in_preinit", "early_in_constructor");
                      returning(process, 9, "main");
                    }));

    assertThat(end).isEqualTo(new ProgramEnd(9, 0));
    assertThat(output()).isEmpty();
  }

  @Test
  void afterwardsItIsAProcessWhosePatchesAreListedAndReverted() throws Exception {
    try (Launched program =
        launch("inherited", "wait").patch(process -> returning(process, 0, "libc:fsync")).start()) {
      try (TargetProcess other = TargetProcess.attach(program.pid())) {
        assertThat(other.patches()).hasSize(1);
        other.patches().get(0).revert();
      }
      assertThat(program.process().patches()).isEmpty();
      assertThat(program.isAlive()).isTrue();
      ProcessHandle.of(program.pid()).orElseThrow().destroyForcibly();
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(0, 9));
    }
  }

  @Test
  void whereAPatchFailsNothingOfItHasRun() throws Exception {
    Launch launch =
        launch("inherited")
            .patch(
                process -> {
                  throw new IllegalStateException("as the test wants it");
                });

    assertThatThrownBy(launch::start).hasMessage("as the test wants it");
    assertThat(output()).isEmpty();
  }

  @Test
  void whereAPatchFailsItStartsUnpatchedIfItMay() throws Exception {
    Launch launch =
        launch("early")
            .patch(
                process -> {
                  returning(process, 0, "early:early_in_preinit", "early_in_constructor");
                  throw new IllegalStateException("as the test wants it");
                })
            .unpatchedOnFailure();

    try (Launched program = launch.start()) {
      assertThat(program.failure()).map(Throwable::getMessage).contains("as the test wants it");
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(0, SIGABRT));
    }
  }

  @Test
  void whatCanNotBeStartedSaysWhy() throws Exception {
    Path text = Files.writeString(folder.resolve("text"), "no program");
    assertThat(text.toFile().setExecutable(true)).isTrue();

    assertThatThrownBy(() -> TargetProcess.launch(List.of("/nonexistent")).start())
        .isInstanceOf(LaunchFailedException.class);
    assertThatThrownBy(() -> TargetProcess.launch(List.of("no-such-program-here")).start())
        .isInstanceOf(LaunchFailedException.class)
        .hasMessageContaining("PATH");
    assertThatThrownBy(() -> TargetProcess.launch(List.of(text.toString())).start())
        .isInstanceOf(LaunchFailedException.class)
        .hasMessageContaining("interpreter");
    assertThatThrownBy(() -> launch("plain").directory(folder.resolve("none")).start())
        .isInstanceOf(LaunchFailedException.class)
        .hasMessageContaining("working directory");
    assertThatThrownBy(
            () -> launch("plain").input(Redirect.from(folder.resolve("none").toFile())).start())
        .isInstanceOf(LaunchFailedException.class)
        .hasMessageContaining("standard input");
  }

  @Test
  void whatItEndsWithIsPassedOn() throws Exception {
    assertThat(run(launch("inherited", "exit", "17"))).isEqualTo(new ProgramEnd(17, 0));
    assertThat(run(launch("inherited", "kill", "10"))).isEqualTo(new ProgramEnd(0, 10));
    assertThat(run(launch("inherited", "kill", "10")).shellCode()).isEqualTo(138);
  }

  @Test
  void aPatchOfTheHandleThatItWasMadeWithIsReverted() throws Exception {
    Patch[] made = new Patch[1];
    try (Launched program =
        launch("inherited", "wait")
            .patch(
                process ->
                    made[0] =
                        Detours.in(process)
                            .at("libc:fsync")
                            .returning(ReturnOverride.returning(0))
                            .patch())
            .start()) {
      assertThat(Optional.of(made[0]).map(Patch::id)).contains(1L);
      made[0].revert();
      assertThat(program.process().patches()).isEmpty();
      ProcessHandle.of(program.pid()).orElseThrow().destroyForcibly();
      program.waitFor();
    }
  }

  @ParameterizedTest
  @EnumSource(EngineChoice.class)
  void everyEnginePatchesAProgramThatIsHeld(EngineChoice engine) throws Exception {
    ProgramEnd end =
        run(
            launch("early")
                .options(AttachOptions.DEFAULT.withEngine(engine))
                .patchAtEntry(process -> returning(process, 0, "early_in_preinit"))
                .patch(
                    process ->
                        returning(
                            process, 0, "early_in_constructor", "libearly.so:early_in_library")));

    assertThat(end).isEqualTo(new ProgramEnd(3, 0));
  }

  @Test
  void aProgramThatIsKilledWhileItIsHeldHasEnded() throws Exception {
    Launch launch =
        launch("inherited")
            .patch(process -> ProcessHandle.of(process.pid()).orElseThrow().destroy());

    assertThat(run(launch)).isEqualTo(new ProgramEnd(0, 15));
    assertThat(output()).isEmpty();
  }

  @Test
  void aProgramThatIsStoppedWhileItIsHeldIsStoppedWhenItBegins() throws Exception {
    try (Launched program =
        launch("inherited")
            .patch(
                process -> {
                  signal(process.pid(), "STOP");
                  awaitStop(process.pid());
                })
            .start()) {
      awaitStop(program.pid());
      assertThat(output()).isEmpty();
      signal(program.pid(), "CONT");
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(0, 0));
    }
  }

  private static void signal(int pid, String name) {
    try {
      Process kill = new ProcessBuilder("kill", "-" + name, Integer.toString(pid)).start();
      assertThat(kill.waitFor()).isZero();
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** The kernel stops a thread a little after it was told to. */
  private static void awaitStop(int pid) {
    ProcStatus status = ProcStatus.read(pid);
    while (status != null && status.state() != 'T') {
      Thread.onSpinWait();
      status = ProcStatus.read(pid);
    }
    assertThat(status).isNotNull();
  }

  @ParameterizedTest
  @ValueSource(strings = {"entry", "loaded"})
  void aJvmThatIsKilledBeforeItBeginsTakesItAlong(String moment) throws Exception {
    Process jvm = anotherJvm(moment);
    ProcessHandle program = programOf(jvm);
    jvm.destroyForcibly().waitFor();

    assertThat(program.onExit().get().isAlive()).isFalse();
    assertThat(output()).isEmpty();
  }

  @Test
  void aJvmThatIsKilledAfterwardsLeavesItRunning() throws Exception {
    Process jvm = anotherJvm("begun");
    ProcessHandle program = programOf(jvm);
    ProcessHandle launcher = program.parent().orElseThrow();
    assertThat(launcher.parent().map(ProcessHandle::pid)).contains(jvm.pid());
    while (!output().contains("limit 15 ")) {
      assertThat(program.isAlive()).isTrue();
      Thread.onSpinWait();
    }
    assertThat(output()).contains("death signal 0 ");
    jvm.destroyForcibly().waitFor();
    launcher.onExit().get();

    assertThat(program.isAlive()).isTrue();
    try (TargetProcess process = TargetProcess.attach((int) program.pid())) {
      assertThat(process.patches()).hasSize(1);
      process.patches().get(0).revert();
    }
    program.destroy();
    program.onExit().get();
  }

  private Process anotherJvm(String moment) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            LaunchFromAnotherJvm.class.getName(),
            moment,
            folder.resolve("output").toString(),
            Fixture.program("inherited").toString(),
            "wait")
        .redirectError(Redirect.INHERIT)
        .start();
  }

  private static ProcessHandle programOf(Process jvm) throws IOException {
    return ProcessHandle.of(Long.parseLong(jvm.inputReader().readLine())).orElseThrow();
  }

  @Test
  void anObjectThatIsPreloadedIsPatchedBeforeItsConstructor() throws Exception {
    Launch launch =
        launch("inherited")
            .environment("LD_PRELOAD", Fixture.program("libearly.so").toString())
            .patch(process -> returning(process, 0, "early_in_library"));

    assertThat(run(launch)).isEqualTo(new ProgramEnd(0, 0));
    assertThat(output()).contains("variable LD_PRELOAD=");
  }

  @Test
  void aProgramWhoseObjectsAreNotFoundEndsAsByItself() throws Exception {
    Path alone = folder.resolve("alone");
    Files.copy(Fixture.program("early"), alone);
    List<Integer> patched = new ArrayList<>();
    assertThat(alone.toFile().setExecutable(true)).isTrue();

    ProgramEnd end =
        run(
            TargetProcess.launch(List.of(alone.toString()))
                .error(Redirect.to(folder.resolve("error").toFile()))
                .patch(process -> patched.add(process.pid())));

    assertThat(end).isEqualTo(new ProgramEnd(127, 0));
    assertThat(patched).isEmpty();
    assertThat(Files.readString(folder.resolve("error"))).contains("libearly.so");
  }

  @Test
  void aProgramOf32BitsIsNotStarted() throws Exception {
    assertThatThrownBy(() -> launch("i386").patchAtEntry(process -> {}).start())
        .isInstanceOf(UnsupportedTargetException.class)
        .hasMessageContaining("32 bits");
  }

  @Test
  void itHasTheDirectoryTheEnvironmentAndTheDescriptorsThatAreSaid() throws Exception {
    Path input = Files.writeString(folder.resolve("input"), "");
    Launch launch =
        launch("inherited")
            .directory(folder)
            .withEmptyEnvironment()
            .environment("A", "1")
            .environment("B", "2")
            .environment("A", "3")
            .withoutEnvironment("B")
            .input(Redirect.from(input.toFile()));

    assertThat(run(launch)).isEqualTo(new ProgramEnd(0, 0));
    Path real = folder.toRealPath();
    assertThat(output().lines())
        .filteredOn(line -> line.matches("(variable|folder|fd) .*"))
        .containsExactly(
            "variable A=3",
            "folder " + real,
            "fd 0 " + real.resolve("input"),
            "fd 1 " + real.resolve("output"),
            "fd 2 " + real.resolve("error"));
  }

  @Test
  void programsOfAJvmAreStartedAtTheSameTime() throws Exception {
    List<CompletableFuture<ProgramEnd>> ends = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      int code = i;
      Launch launch =
          TargetProcess.launch(List.of(Fixture.program("early").toString()))
              .output(Redirect.DISCARD)
              .patch(
                  process -> {
                    returning(process, 0, "early_in_preinit", "early_in_constructor");
                    returning(process, 0, "early_in_library");
                    returning(process, code, "early_result");
                  });
      ends.add(CompletableFuture.supplyAsync(launch::start).thenCompose(Launched::onExit));
    }
    for (int i = 0; i < ends.size(); i++) {
      assertThat(ends.get(i).get()).isEqualTo(new ProgramEnd(i, 0));
    }
  }
}
