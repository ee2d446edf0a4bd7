package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.ProgramEnd;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Functions that abort when they run, and never do, since others stand for them before. */
@RequiresPtrace
@Timeout(value = 60, unit = TimeUnit.SECONDS)
final class EarlyReplacementsTest {
  private static final int SIGTERM = 15;

  @TempDir Path folder;

  private Launch launch(String program, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Fixture.program(program).toString());
    command.addAll(List.of(arguments));
    return TargetProcess.launch(command)
        .output(Redirect.to(folder.resolve("output").toFile()))
        .error(Redirect.to(folder.resolve("error").toFile()));
  }

  private static ProgramEnd run(Launch launch) throws InterruptedException {
    try (Launched program = launch.start()) {
      return program.waitFor();
    }
  }

  private static EarlyReplacements by(String object) {
    return EarlyReplacements.by(Fixture.program(object));
  }

  @Test
  void theOldFunctionsNeverRunNotEvenInConstructors() throws Exception {
    Launch launch =
        by("early_new.so")
            .replace("early:early_in_preinit", "new_in_preinit")
            .replace("early_in_constructor", "new_in_constructor")
            .replace("libearly.so:early_in_library", "new_in_library")
            .replace("early_result", "new_result")
            .in(launch("early"));

    // Each of the three was called once before main, and that of the library once more.
    assertThat(run(launch)).isEqualTo(new ProgramEnd(44, 0));
    assertThat(folder.resolve("output")).hasContent("main");
    assertThat(folder.resolve("error")).isEmptyFile();
  }

  @ParameterizedTest
  @ValueSource(strings = {"early_static", "early_static_pie"})
  void inAProgramWithoutALoaderTheyAreReplacedAtItsEntry(String program) throws Exception {
    Launch launch =
        by("early_alone.so")
            .replace("early_in_preinit", "nothing")
            .replace("early_in_constructor", "nothing")
            .replace("early_result", "result")
            .in(launch(program));

    assertThat(run(launch)).isEqualTo(new ProgramEnd(42, 0));
  }

  /** It would need the C library of a program that has none to link to. */
  @Test
  void whatAnObjectNeedsAndTheProgramDoesNotHaveIsSaid() throws Exception {
    assertThatThrownBy(
            by("early_new.so").replace("early_result", "new_result").in(launch("early_static"))
                ::start)
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("early_in_library");
    assertThat(folder.resolve("output")).isEmptyFile();
  }

  @ParameterizedTest
  @CsvSource({
    "early_constructor.so, an initializer of",
    "early_ifunc.so, the resolver of an IFUNC of"
  })
  void anObjectThatMustRunBeforeTheProgramDoesIsRefusedWithTheReason(String object, String what) {
    assertThatThrownBy(
            by(object).replace("early_in_constructor", "nothing").in(launch("early"))::start)
        .isInstanceOf(UnsupportedTargetException.class)
        .hasMessageContaining(what)
        .hasMessageContaining(object)
        .hasMessageContaining("it has one thread");
    assertThat(folder.resolve("output")).isEmptyFile();
  }

  @Test
  void whatIsNotThereIsSaidAndTheProgramDoesNotBegin() throws Exception {
    Path text = Files.writeString(folder.resolve("text.so"), "no object");

    assertThatThrownBy(
            by("early_new.so").replace("no_such", "new_result").in(launch("early"))::start)
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("no_such");
    assertThatThrownBy(by("early_new.so").replace("main", "no_such_new").in(launch("early"))::start)
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("no_such_new");
    assertThatThrownBy(
            by("early_new.so").replace("main+4", "new_result").in(launch("early"))::start)
        .isInstanceOf(BadSiteException.class)
        .hasMessageContaining("first byte");
    assertThatThrownBy(
            EarlyReplacements.by(text).replace("main", "new_result").in(launch("early"))::start)
        .isInstanceOf(BadObjectException.class);
    assertThatThrownBy(
            EarlyReplacements.by(folder.resolve("none.so"))
                    .replace("main", "new_result")
                    .in(launch("early"))
                ::start)
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining("can't be read");
    assertThat(folder.resolve("output")).isEmptyFile();
  }

  @Test
  void afterwardsItIsALivePatchThatAnyHandleDisablesAndUnloads() throws Exception {
    Launch launch =
        by("early_alone.so").replace("libc:fsync", "nothing").in(launch("inherited", "wait"));
    try (Launched program = launch.start()) {
      try (TargetProcess other = TargetProcess.attach(program.pid())) {
        LoadedPatch patch = LivePatches.in(other).list().get(0);
        assertThat(patch.state()).isEqualTo(PatchState.ENABLED);
        assertThat(other.patches()).extracting(Patch::id).containsExactly(patch.patch());
        patch.disable();
        assertThat(patch.unload()).isEmpty();
        assertThat(other.patches()).isEmpty();
      }
      program.signal(SIGTERM);
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(0, SIGTERM));
    }
  }
}
