package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.LedgerStatus;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.MemoryMap;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Needs the right to trace the programs that it starts. */
class ComingObjectsTest {
  private static final Duration LONG = Duration.ofSeconds(30);
  private static final int ROUNDS = 50;

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
            "2",
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
    load.awaitCounter("plugin_v" + version, load.counter("plugin_v" + version) + 20, LONG);
  }

  private void assertAnsweredOnlyBy(int version) {
    // Those that were under way may be of the other one.
    awaitAnswers(version);
    long other = load.counter("plugin_v" + (3 - version));
    awaitAnswers(version);
    assertThat(load.counter("plugin_v" + (3 - version))).isEqualTo(other);
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
      assertThat(standing(process)).isZero();
      assertAnsweredOnlyBy(1);
    }
    assertAllAnswersWereRight();
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
