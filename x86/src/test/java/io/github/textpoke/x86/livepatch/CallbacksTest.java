package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.PatchException.CodeInUseException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * A live patch whose callbacks write down that they run, and which version of a function that it
 * replaces runs then: two digits for each.
 */
@RequiresPtrace
class CallbacksTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final LoadOptions IMPATIENT =
      LoadOptions.DEFAULT.withPatience(Duration.ofMillis(300));

  private Fixture service;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
  }

  @AfterEach
  void stop() {
    try (Fixture ending = service) {
      ending.assertHealthy();
    }
  }

  @Test
  void eachRunsOnItsSideOfTheChange() {
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LoadedPatch patch = LivePatches.in(process).load(Fixture.program("service_order.so"));
      assertThat(service.counter("journal")).isZero();

      patch.enable();
      assertThat(service.counter("journal")).isEqualTo(11_22);
      patch.disable();
      assertThat(service.counter("journal")).isEqualTo(11_22_32_41);
      patch.enable();
      assertThat(service.counter("journal")).isEqualTo(11_22_32_41_11_22L);
      patch.disable();
      assertThat(patch.unload()).isEmpty();
    }
  }

  @Test
  void whatBeganBeforeAChangeThatIsGivenUpIsEnded() {
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process, IMPATIENT);
      LoadedPatch patch = patches.load(Fixture.program("service_order.so"));

      assertThatExceptionOfType(CodeInUseException.class).isThrownBy(patch::enable);

      assertThat(service.counter("journal")).isEqualTo(11_41);
      assertThat(patch.state()).isEqualTo(PatchState.REGISTERED);
      assertThat(patch.unload()).isEmpty();
    }
    service.command("release");
    service.awaitCounter("let_go", 1, LONG);
  }
}
