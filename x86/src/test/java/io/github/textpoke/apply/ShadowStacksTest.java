package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Whether a program's threads have shadow stacks is for the machine and its loader to say. */
@RequiresPtrace
class ShadowStacksTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  @Test
  void aProcessHasThemIfTheKernelSaysSoOfItsMainThread() throws IOException {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      boolean said =
          Files.readAllLines(Path.of("/proc/" + fixture.pid() + "/status")).stream()
              .anyMatch(line -> line.matches("x86_Thread_features:.*\\bshstk\\b.*"));
      assertThat(process.hasShadowStacks()).isEqualTo(said);
      fixture.assertHealthy();
    }
  }

  @Test
  void ofAProcessThatHasEndedNothingIsSaid() {
    try (Fixture fixture = Fixture.start("workers", "--sites", "nop_0");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      fixture.signal("SIGKILL");
      fixture.awaitExit(SOON);
      assertThatExceptionOfType(TargetGoneException.class).isThrownBy(process::hasShadowStacks);
    }
  }
}
