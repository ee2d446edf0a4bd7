package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.PatchException;
import io.github.textpoke.apply.LedgerStatus;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.MemoryMap;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Needs the right to trace the programs that it starts. */
class ComingObjectsTest {
  private static final Duration LONG = Duration.ofSeconds(30);
  private static final int CONNECTIONS = 2;

  /** Answers of a connection by which one would see that a version is mixed with the other. */
  private static final int ENOUGH = 20;

  private static final int ROUNDS = 50;
  private static final int WATCHED_ROUNDS = 30;

  @TempDir private Path folder;
  private Fixture service;
  private Fixture load;
  private long plugins;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
    load =
        Fixture.start(
            "service_load",
            "--service",
            Integer.toString(service.pid()),
            "--connections",
            Integer.toString(CONNECTIONS),
            "--operations",
            "pc");
  }

  @AfterEach
  void stop() {
    load.close();
    service.close();
  }

  private void loadPlugin() {
    service.command("plugin load");
    plugins++;
    service.awaitCounter("plugins", plugins, LONG);
  }

  /** Waits until it is gone from the process. */
  private void unloadPlugin(TargetProcess process) {
    service.command("plugin unload");
    long deadline = System.nanoTime() + LONG.toNanos();
    while (MemoryMap.read(process.pid()).mappings().stream()
        .anyMatch(mapping -> mapping.baseName().equals("libserviceplugin.so"))) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.onSpinWait();
    }
  }

  private void awaitAnswers(int version) {
    load.awaitEach("plugin_v" + version, CONNECTIONS, ENOUGH, LONG);
  }

  private void assertAnsweredOnlyBy(int version) {
    // One a connection may have been under way, for as long as its thread gets no CPU.
    long other = load.counter("plugin_v" + (3 - version));
    awaitAnswers(version);
    assertThat(load.counter("plugin_v" + (3 - version))).isBetween(other, other + CONNECTIONS);
  }

  private static long standing(TargetProcess process) {
    LedgerStatus status = TargetProcess.status(process.pid());
    assertThat(status.damaged()).isEmpty();
    return status.patches().stream()
        .filter(patch -> patch.state() != PatchStatus.State.RETIRED)
        .count();
  }

  private void assertAllAnswersWereRight() {
    service.assertHealthy();
    load.assertHealthy();
    assertThat(load.counter("wrong")).isZero();
    assertThat(load.counter("lost")).isZero();
  }

  @Test
  void pluginThatComesAndGoesWhileItsPatchIsEnabledIsPatchedEachTime() {
    loadPlugin();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch patch = patches.load(Fixture.program("service_plugin.so"));
      patch.enable();
      assertAnsweredOnlyBy(2);
      for (int i = 0; i < ROUNDS; i++) {
        unloadPlugin(process);
        assertThat(patch.refresh()).isTrue();
        assertThat(patch.state()).isEqualTo(PatchState.ENABLED);
        assertThat(patch.patch()).isZero();
        assertThat(standing(process)).isZero();
        loadPlugin();
        assertThat(patch.refresh()).isTrue();
        assertThat(patch.refresh()).isFalse();
        assertAnsweredOnlyBy(2);
        assertThat(standing(process)).isEqualTo(1);
      }
      patch.disable();
      assertAnsweredOnlyBy(1);
      assertThat(patch.unload()).isEmpty();
      assertThat(standing(process)).isZero();
    }
    assertAllAnswersWereRight();
  }

  @Test
  void pluginThatWasLoadedAnewBeforeAnybodyLookedIsPatchedAgain() {
    loadPlugin();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("service_plugin.so"));
      patch.enable();
      unloadPlugin(process);
      loadPlugin();
      assertAnsweredOnlyBy(1);
      assertThat(patch.refresh()).isTrue();
      assertAnsweredOnlyBy(2);
      unloadPlugin(process);
      loadPlugin();
      // Nobody has told it.
      patch.disable();
      assertAnsweredOnlyBy(1);
      assertThat(standing(process)).isZero();
      assertThat(patch.state()).isEqualTo(PatchState.DISABLED);
    }
    assertAllAnswersWereRight();
  }

  @Test
  void patchIsDisabledAndEnabledWhileItsObjectIsNotLoaded() {
    loadPlugin();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("service_plugin.so"));
      patch.enable();
      unloadPlugin(process);
      patch.disable();
      loadPlugin();
      assertThat(patch.refresh()).isFalse();
      assertAnsweredOnlyBy(1);
      unloadPlugin(process);
      patch.enable();
      assertThat(patch.patch()).isZero();
      loadPlugin();
      patch.refresh();
      assertAnsweredOnlyBy(2);
    }
    assertAllAnswersWereRight();
  }

  @Test
  void patchWaitsForAnObjectThatIsNotLoadedYet() {
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("service_plugin.so"));
      assertThat(patch.state()).isEqualTo(PatchState.REGISTERED);
      patch.enable();
      assertThat(patch.state()).isEqualTo(PatchState.ENABLED);
      assertThat(patch.patch()).isZero();
      assertThat(patch.refresh()).isFalse();
    }
    loadPlugin();
    assertAnsweredOnlyBy(1);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = LivePatches.in(process).find(1);
      assertThat(patch.refresh()).isTrue();
      // It uses a static variable of the plugin.
      assertAnsweredOnlyBy(2);
      patch.disable();
      assertAnsweredOnlyBy(1);
    }
    assertAllAnswersWereRight();
  }

  @Test
  void onlyTheObjectThatHasGoneIsStruckFromAPatchOfSeveral() {
    loadPlugin();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch two =
          patches.load(Fixture.program("service_plugin.so"), Optional.of(description()));
      two.enable();
      assertAnsweredOnlyBy(2);
      long before = two.patch();
      unloadPlugin(process);
      assertThat(two.refresh()).isTrue();
      assertThat(two.patch()).isNotZero().isNotEqualTo(before);
      assertThat(standing(process)).isEqualTo(1);
      loadPlugin();
      assertThat(two.refresh()).isTrue();
      assertAnsweredOnlyBy(2);
      assertThat(standing(process)).isEqualTo(2);
      two.disable();
      assertAnsweredOnlyBy(1);
      assertThat(two.unload()).isEmpty();
      assertThat(standing(process)).isZero();
    }
    assertAllAnswersWereRight();
  }

  @Test
  void noCallOfAPluginThatComesRunsTheOldFunctionWhileItIsWatched() {
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      LoadedPatch patch = patches.load(Fixture.program("service_plugin.so"));
      patch.enable();
      try (ObjectWatch watch = patches.watch()) {
        for (int i = 1; i <= WATCHED_ROUNDS; i++) {
          loadPlugin();
          assertThat(service.counter("plugin_sees_2")).isEqualTo(i);
          awaitAnswers(2);
          assertThat(patch.refresh()).isFalse();
          unloadPlugin(process);
        }
        assertThat(watch.isWatching()).isTrue();
        assertThat(standing(process)).isPositive();
      }
      assertThat(load.counter("plugin_v1")).isZero();
      assertThat(service.counter("plugin_sees_1")).isZero();
      patch.refresh();
      assertThat(standing(process)).isZero();
      assertThat(process.patches()).isEmpty();
      loadPlugin();
      assertThat(service.counter("plugin_sees_1")).isEqualTo(1);
      assertAnsweredOnlyBy(1);
    }
    assertAllAnswersWereRight();
  }

  @Test
  void twoWatchesOfAProcessMayBeClosedInAnyOrder() {
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      patches.load(Fixture.program("service_plugin.so")).enable();
      ObjectWatch first = patches.watch();
      try (ObjectWatch second = patches.watch()) {
        first.close();
        first.close();
        assertThat(first.isWatching()).isFalse();
        loadPlugin();
        assertThat(service.counter("plugin_sees_2")).isEqualTo(1);
        assertThat(second.isWatching()).isTrue();
      }
      assertThat(standing(process)).isEqualTo(1);
    }
    assertAllAnswersWereRight();
  }

  @Test
  void programGoesOnWhereTheJvmThatWatchesIsKilled() throws Exception {
    Process jvm = jvmThatWatches();
    try {
      assertThat(jvm.inputReader().readLine()).isEqualTo("watching");
      loadPlugin();
      assertThat(service.counter("plugin_sees_2")).isEqualTo(1);
    } finally {
      jvm.destroyForcibly().waitFor();
    }
    for (int i = 1; i <= 3; i++) {
      service.command("plugin unload");
      loadPlugin();
      assertThat(service.counter("plugin_sees_1")).isEqualTo(i);
      assertAnsweredOnlyBy(1);
    }
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process);
      try (ObjectWatch watch = patches.watch()) {
        awaitAnswers(2);
        unloadPlugin(process);
        loadPlugin();
        assertThat(service.counter("plugin_sees_2")).isEqualTo(2);
        assertThat(watch.isWatching()).isTrue();
      }
      patches.find(1).disable();
      awaitAnswers(1);
      assertThat(patches.find(1).unload()).isEmpty();
      assertThat(standing(process)).isZero();
      assertThat(process.patches()).isEmpty();
    }
    assertAllAnswersWereRight();
  }

  @Test
  void watchEndsWithItsProgram() {
    try (TargetProcess process = TargetProcess.attach(service.pid());
        ObjectWatch watch = LivePatches.in(process).watch()) {
      assertThat(watch.isWatching()).isTrue();
      load.close();
      service.close();
      long deadline = System.nanoTime() + LONG.toNanos();
      assertThatExceptionOfType(PatchException.class)
          .isThrownBy(
              () -> {
                while (watch.isWatching()) {
                  assertThat(System.nanoTime())
                      .as(() -> "it has not seen the end: " + stackOf("textpoke-watch-"))
                      .isLessThan(deadline);
                  Thread.onSpinWait();
                }
              })
          .withMessageContaining(Integer.toString(process.pid()));
    }
  }

  private static String stackOf(String thread) {
    return Thread.getAllStackTraces().entrySet().stream()
        .filter(each -> each.getKey().getName().startsWith(thread))
        .map(each -> each.getKey() + " " + Arrays.toString(each.getValue()))
        .toList()
        .toString();
  }

  private Process jvmThatWatches() throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            WatchFromAnotherJvm.class.getName(),
            Integer.toString(service.pid()))
        .redirectError(Redirect.INHERIT)
        .start();
  }

  /** Of two objects; nobody calls the function of the first. */
  private Path description() {
    Path file = folder.resolve("of_two.json");
    try {
      Files.writeString(
          file,
          """
          {"name": "of two", "objects": [
           {"name": "libservicecodec.so",
            "functions": [{"old": "codec_set_key", "new": "new_plugin_answer"}]},
           {"name": "libserviceplugin.so",
            "functions": [{"old": "plugin_answer", "new": "new_plugin_answer"}]}]}
          """);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return file;
  }
}
