package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.InstanceOfAssertFactories.STRING;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.CodeInUseException;
import io.github.textpoke.PatchException.LivePatchFailedException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What can't be loaded or enabled leaves the service as it was, and running. Needs the right to
 * trace the programs that it starts.
 */
class LivePatchFailuresTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final LoadOptions PATIENT = new LoadOptions(LONG, LONG);

  /** For who waits in vain. */
  private static final LoadOptions IMPATIENT =
      LoadOptions.DEFAULT.withCallTime(Duration.ofSeconds(2)).withPatience(Duration.ofMillis(500));

  private Fixture service;
  private Fixture load;
  private TargetProcess process;
  private LivePatches patches;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
    load =
        Fixture.start(
            "service_load", "--service", Integer.toString(service.pid()), "--operations", "ct");
    process = TargetProcess.attach(service.pid());
    patches = LivePatches.in(process, PATIENT);
  }

  @AfterEach
  void theServiceAnswersAsBefore() {
    try (Fixture endingService = service;
        Fixture endingLoad = load;
        TargetProcess closing = process) {
      patches.list().forEach(patch -> patch.unload());
      assertThat(closing.patches()).isEmpty();
      assertAnswers(1);
      endingLoad.assertHealthy();
      endingService.assertHealthy();
      assertThat(endingLoad.counter("mixed")).isZero();
      assertThat(endingLoad.counter("lost")).isZero();
    }
  }

  private void assertAnswers(int version) {
    load.awaitCounter("v" + version, load.counter("v" + version) + 1_000, LONG);
  }

  private static Path file(String name) {
    return Fixture.program("service_" + name + ".so");
  }

  private <T extends PatchException> void assertNotLoaded(
      String name, Class<T> type, String... words) {
    assertThatExceptionOfType(type)
        .isThrownBy(() -> patches.load(file(name)))
        .satisfies(refused -> assertThat(refused.getMessage()).contains(words));
    assertThat(patches.list()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"crash", "trap"})
  void aCrashInAnInitializerIsContained(String name) {
    assertNotLoaded(name, LivePatchFailedException.class, "signal");

    assertThat(service.counter("init")).isEqualTo(1);
  }

  @Test
  void anInitializerThatDoesNotEndIsEnded() {
    patches = LivePatches.in(process, IMPATIENT);
    assertNotLoaded("endless", LivePatchFailedException.class, "did not return", "2000 ms");

    assertThat(service.counter("init")).isEqualTo(1);
  }

  @Test
  void aPrePatchMaySayNo() {
    LoadedPatch patch = patches.load(file("veto"));

    assertThatExceptionOfType(LivePatchFailedException.class)
        .isThrownBy(patch::enable)
        .withMessageContaining("-1");

    assertThat(patch.state()).isEqualTo(PatchState.REGISTERED);
    assertThat(service.counter("pre_patch")).isEqualTo(1);
    assertThat(patch.unload()).isEmpty();
  }

  @Test
  void allSymbolsThatAreMissingAreNamed() {
    assertNotLoaded(
        "missing", NoSuchSymbolException.class, "no_such_function_1", "no_such_function_2");
  }

  @Test
  void aVariableThatIsThereTwiceMustBeChosen() {
    assertNotLoaded("ambiguous", AmbiguousSymbolException.class, "used", "2");
  }

  @Test
  void aFunctionThatIsThereTwiceMustBeChosen() {
    assertNotLoaded("which", AmbiguousSymbolException.class, "helper", "2");
  }

  @ParameterizedTest
  @CsvSource({"none, no_such_function", "third, helper"})
  void aFunctionThatIsNotThereCantBeReplaced(String name, String function) {
    assertNotLoaded(name, NoSuchSymbolException.class, function);
  }

  @Test
  void threadLocalVariablesAreRefused() {
    assertNotLoaded("local", ObjectRefusedException.class, "thread");
  }

  @Test
  void aPatchForAnotherBuildIsRefused() {
    assertNotLoaded(
        "build", PatchException.class, "0123456789abcdef0123456789abcdef01234567", "service");
  }

  @Test
  void aFunctionThatNeverLeavesTheStackIsNamedWithItsThreads() {
    LivePatch description =
        LivePatch.parse(
            """
            {"name": "forever", "consistency": "when-unused", "objects": [{"name": "",
             "functions": [{"old": "serve_connection", "new": "new_serve_connection"}]}]}""");
    patches = LivePatches.in(process, IMPATIENT);
    LoadedPatch patch = patches.load("forever", bytes("forever"), description);

    assertThatExceptionOfType(CodeInUseException.class)
        .isThrownBy(patch::enable)
        .withMessageContaining("serve_connection")
        .satisfies(
            inUse ->
                assertThat(inUse.blockers())
                    .isNotEmpty()
                    .allSatisfy(
                        blocker ->
                            assertThat(blocker)
                                .containsPattern(
                                    // One that ran on has no stack to be shown.
                                    "service:serve_connection[^\\[]*($|\\[.*serve_thread)")));

    assertThat(patch.state()).isEqualTo(PatchState.REGISTERED);
    assertThat(patch.unload()).isEmpty();
  }

  @Test
  void disablingWaitsForAThreadThatIsInsideAndIsGivenUp() {
    LivePatch description =
        LivePatch.parse(
            """
            {"name": "hold", "consistency": "when-unused", "objects": [{"name": "",
             "functions": [{"old": "hold", "new": "new_hold"}]}]}""");
    patches = LivePatches.in(process, IMPATIENT);
    LoadedPatch patch = patches.load("hold", bytes("hold"), description);
    patch.enable();
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);

    assertThatExceptionOfType(CodeInUseException.class)
        .isThrownBy(patch::disable)
        .withMessageContaining("500 ms")
        .satisfies(
            inUse ->
                assertThat(inUse.blockers())
                    .singleElement(STRING)
                    .matches("thread [0-9]+ \\(service\\), blocked in .*, which returns to .*")
                    .containsSubsequence(
                        " [", "live patch 1:new_hold+0x", ", called by ", "service:compute+0x")
                    .containsPattern("service:hold_thread.*[^n]\\]$"));
    assertThat(patch.state()).isEqualTo(PatchState.ENABLED);
    assertAnswers(1);
    assertThatExceptionOfType(WrongStateException.class).isThrownBy(patch::unload);

    service.command("release");
    service.awaitCounter("let_go", 1, LONG); // requests are others' too
    patch.disable();
    assertThat(patch.state()).isEqualTo(PatchState.DISABLED);
  }

  @Test
  void codeThatAThreadIsInIsNotUnmapped() {
    LoadedPatch patch = patches.load(file("hold"));
    patch.enable();
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);
    patch.disable(); // at once: each call sees the old or the new

    Optional<String> held = patch.unload();

    assertThat(held).isPresent();
    assertThat(patch.state()).isEqualTo(PatchState.UNREGISTERED);
    service.command("release");
    service.awaitCounter("let_go", 1, LONG);
    assertAnswers(1);
  }

  @Test
  void eachCallIsAllowedInItsStatesOnly() {
    LoadedPatch patch = patches.load(file("v2"));
    assertWrong(patch::disable);
    patch.enable();
    assertWrong(patch::enable);
    assertWrong(patch::unload);
    assertAnswers(2);
    patch.disable();
    assertWrong(patch::disable);
    patch.unload();
    assertWrong(patch::enable);
  }

  private static void assertWrong(ThrowingCallable call) {
    assertThatExceptionOfType(WrongStateException.class).isThrownBy(call);
  }

  private static byte[] bytes(String name) {
    try {
      return Files.readAllBytes(file(name));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
