package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Live patches over others, of the same functions and of some of them. */
@RequiresPtrace
class StackedPatchesTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int CONNECTIONS = 4;

  /** Of each connection: more than the one that may be under way. */
  private static final int ANSWERS = 25;

  private static final int TICKS = 3;
  private static final int ROUNDS = 3;
  private static final int VERSIONS = 3;

  private Fixture service;
  private TargetProcess process;
  private LivePatches patches;
  private LoadedPatch two;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
    process = TargetProcess.attach(service.pid());
    patches = LivePatches.in(process);
    two = patches.load(file("v2"));
  }

  @AfterEach
  void nothingStands() {
    try (Fixture ending = service;
        TargetProcess closing = process) {
      patches.list().forEach(patch -> assertThat(patch.unload()).isEmpty());
      assertThat(patches.list()).isEmpty();
      assertThat(closing.patches()).isEmpty();
      assertTicks(1);
      ending.assertHealthy();
    }
  }

  private static Path file(String name) {
    return Fixture.program("service_" + name + ".so");
  }

  /** That it ticks by this version, and no more by another one. */
  private void assertTicks(int version) {
    awaitTicks(version);
    long others = otherTicks(version);
    awaitTicks(version);
    assertThat(otherTicks(version)).isEqualTo(others);
  }

  private void awaitTicks(int version) {
    String ticks = "ticks_" + version;
    service.awaitCounter(ticks, service.counter(ticks) + TICKS, LONG);
  }

  private long otherTicks(int version) {
    long sum = 0;
    for (int i = 1; i <= VERSIONS; i++) {
      sum += i == version ? 0 : service.counter("ticks_" + i);
    }
    return sum;
  }

  private static void assertAnswers(Fixture load, int version) {
    load.awaitEach("v" + version, CONNECTIONS, ANSWERS, LONG);
  }

  @Test
  void theUpperOneIsDisabledFirst() {
    LoadedPatch names = patches.load(file("names"));
    two.enable();
    names.enable();
    assertTicks(3);

    names.disable();
    assertTicks(2);
    two.disable();
    assertTicks(1);
  }

  @Test
  void theLowerOneIsDisabledFirst() {
    LoadedPatch names = patches.load(file("names"));
    two.enable();
    names.enable();

    two.disable();
    assertTicks(3);
    assertThat(two.state()).isEqualTo(PatchState.DISABLED);
    two.enable();
    assertTicks(2);
    names.disable();
    assertTicks(2);
    two.disable();
    assertTicks(1);
    names.enable();
    assertTicks(3);
    names.disable();
  }

  @Test
  void eachWayBackGoesToWhatIsBelowAndNoAnswerIsOfSeveral() {
    try (Fixture load =
        Fixture.start(
            "service_load",
            "--service",
            Integer.toString(service.pid()),
            "--connections",
            Integer.toString(CONNECTIONS),
            "--operations",
            "cts")) {
      LoadedPatch three =
          Descriptions.load(
              patches, file("v3"), Descriptions.notReplacing(Descriptions.of(file("v3"))));
      for (int i = 0; i < ROUNDS; i++) {
        two.enable();
        three.enable();
        assertAnswers(load, 3);
        assertThat(two.state()).isEqualTo(PatchState.ENABLED);
        three.disable();
        assertAnswers(load, 2);
        three.enable();
        assertAnswers(load, 3);
        two.disable();
        assertAnswers(load, 3);
        assertThat(two.state()).isEqualTo(PatchState.DISABLED);
        assertThat(three.state()).isEqualTo(PatchState.ENABLED);
        long second = load.counter("v2");
        three.disable();
        assertAnswers(load, 1);
        assertThat(load.counter("v2")).isEqualTo(second);
      }
      assertThat(three.unload()).isEmpty();
      assertThat(two.unload()).isEmpty();
      load.assertHealthy();
      assertThat(load.counter("mixed")).isZero();
      assertThat(load.counter("lost")).isZero();
    }
  }

  @Test
  void whatHasNoDescriptionReplacesWhatIsCalledTheSame() {
    LoadedPatch names = patches.load(file("names"));

    assertThat(names.description().objects())
        .singleElement()
        .satisfies(
            object -> {
              assertThat(object.name()).isEmpty();
              assertThat(object.functions())
                  .containsExactlyInAnyOrder(named("compute"), named("tick"));
            });
    assertThat(names.description().consistency()).isEqualTo(Consistency.IMMEDIATE);
    names.enable();
    assertTicks(3);
    names.disable();
  }

  private static PatchedFunction named(String name) {
    return new PatchedFunction(new PatchedFunction.Named(name, 0), name);
  }
}
