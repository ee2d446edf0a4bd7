package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.x86.detour.Detour;
import io.github.textpoke.x86.detour.Detours;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Functions are led to their gates when a patch is loaded, so that to enable it is one store; what
 * runs where patches overlap is as if they were led when they are enabled. Needs the right to trace
 * the programs that it starts.
 */
class LivePatchLedEarlyTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int CONNECTIONS = 4;
  private static final LivePatch TICK_2 = tick("two", "new_tick");
  private static final LivePatch COMPUTE_2 =
      LivePatch.parse(
          """
          {"name": "compute", "objects": [{"name": "",
           "functions": [{"old": "compute", "new": "compute"}]}]}""");
  private static final LivePatch TICK_3 = tick("three", "tick");

  private Fixture service;
  private Fixture load;
  private TargetProcess process;
  private LivePatches patches;

  private static LivePatch tick(String name, String replacement) {
    return LivePatch.parse(
        """
        {"name": "%s", "consistency": "immediate", "objects": [{"name": "",
         "functions": [{"old": "tick", "new": "%s"}]}]}"""
            .formatted(name, replacement));
  }

  private static byte[] bytes(String name) {
    try {
      return Files.readAllBytes(Fixture.program("service_" + name + ".so"));
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

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
            "ut");
    process = TargetProcess.attach(service.pid());
    patches = LivePatches.in(process);
  }

  @AfterEach
  void theServiceIsAsBefore() {
    try (Fixture endingService = service;
        Fixture endingLoad = load;
        TargetProcess closing = process) {
      awaitEachConnection();
      patches.list().forEach(patch -> assertThat(patch.unload()).isEmpty());
      assertThat(closing.patches()).isEmpty();
      assertRuns(1);
      endingLoad.assertHealthy();
      endingService.assertHealthy();
    }
  }

  /** No thread that answers is in a call that began before. */
  private void awaitEachConnection() {
    load.awaitEach("answers", CONNECTIONS, 2, LONG);
  }

  private void assertRuns(int version) {
    String counter = "ticks_" + version;
    service.awaitCounter(counter, service.counter(counter) + 50, LONG);
  }

  private ImmutableList<Long> standing() {
    return process.patches().stream().map(Patch::id).collect(ImmutableList.toImmutableList());
  }

  @Test
  void toEnableAThousandFunctionsChangesNoCode() {
    LoadedPatch patch = patches.load(Fixture.program("service_thousand.so"));
    ImmutableList<Long> led = standing();
    ImmutableList<PatchStatus> before = process.status().patches();
    long old = load.counter("unit_v1");
    load.awaitCounter("unit_v1", old + 50, LONG);

    patch.enable();

    load.awaitCounter("unit_v2", load.counter("unit_v2") + 50, LONG);
    assertThat(led).hasSize(1);
    assertThat(patch.patch()).isEqualTo(led.get(0));
    assertThat(standing()).isEqualTo(led);
    assertThat(process.status().patches()).isEqualTo(before);
    patch.disable();
  }

  @Test
  void theOneThatWasEnabledLastRunsWhicheverWasLoadedFirst() {
    LoadedPatch first = patches.load("two", bytes("none"), TICK_2);
    LoadedPatch second = patches.load("three", bytes("names"), TICK_3);

    second.enable();
    assertRuns(3);
    first.enable();
    assertRuns(2);
    first.disable();
    assertRuns(3);
    first.enable();
    assertRuns(2);
    first.disable();
    second.disable();
    assertRuns(1);
  }

  @Test
  void theOneThatWasEnabledLastRunsAlsoAboveOneThatWasLedEarly() {
    LoadedPatch first = patches.load("two", bytes("none"), TICK_2);
    LoadedPatch second = patches.load("three", bytes("names"), TICK_3);
    ImmutableList<Long> led = standing();

    first.enable();
    assertRuns(2);
    assertThat(standing()).isEqualTo(led).hasSize(2);
    second.enable();
    assertRuns(3);
    second.disable();
    assertRuns(2);
    first.disable();
    assertRuns(1);
    assertThat(standing()).isEqualTo(led);
  }

  @Test
  void aDetourThatCameBetweenStandsOverIt() {
    LoadedPatch patch = patches.load("two", bytes("none"), TICK_2);
    Detour detour = Detours.in(process).at("service:tick").toItself();

    patch.enable();
    assertRuns(2);
    patch.disable();
    assertRuns(1);
    patch.enable();
    assertRuns(2);
    detour.revert();
    assertRuns(2);
    patch.disable();
  }

  @Test
  void whatADetourHasDisplacedIsInTheFunction() {
    LoadedPatch patch = patches.load("two", bytes("none"), TICK_2);
    Detour below = Detours.in(process).at("service:compute").toItself();
    LoadedPatch above = patches.load("compute", bytes("names"), COMPUTE_2);
    ImmutableList<Extent> left =
        patches.command(
            () ->
                LeftCode.whenEnabled(
                    patches, above.notes().gates(), above.notes(), ImmutableList.of(patch)));

    assertThat(left).anyMatch(extent -> extent.contains(below.original()));
    assertThat(left)
        .anyMatch(extent -> extent.contains(process.address("service:compute")))
        .noneMatch(extent -> extent.contains(process.address("service:tick")));
    assertThat(above.unload()).isEmpty();
    below.revert();
  }

  @Test
  void anotherHandleNeedNotLeadAnew() {
    patches.load("two", bytes("none"), TICK_2);
    ImmutableList<Long> led = standing();
    LoadedPatch found = LivePatches.in(process).find(1);

    found.enable();
    assertRuns(2);
    found.disable();
    assertRuns(1);
    assertThat(standing()).isEqualTo(led).hasSize(1);
  }
}
