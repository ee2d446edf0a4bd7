package io.github.textpoke.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.ProcMemReader;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@RequiresPtrace
@Timeout(120)
class InterruptionTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int SIGTERM_EXIT = 143;
  private static final String FOR_EVER = "1000000000";

  @Test
  void anInterruptionLeavesTheTargetWithItsOldBytes() throws Exception {
    try (Fixture workers = Fixture.start("workers", "--sites", "nop_62")) {
      Process toggling = toggle(workers);
      workers.awaitCounter("results_new", 10_000, LONG);

      // Patchers take turns: another one gets its turn in time, or is told who has the target.
      Run other = Run.of("apply", workers.pid(), "nop_0", "--jump", "repl");
      if (other.exitCode() != ExitCode.DONE) {
        assertThat(other.assertFailed(4).err())
            .startsWith("textpoke: process " + workers.pid() + " is traced by ");
      }

      // As Ctrl-C, but that SIGINT is ignored by what a shell starts in the background.
      toggling.toHandle().destroy();
      String output = new String(toggling.getInputStream().readAllBytes(), UTF_8);

      assertThat(toggling.waitFor(LONG.toSeconds(), TimeUnit.SECONDS)).isTrue();
      assertThat(toggling.exitValue()).as(output).isEqualTo(SIGTERM_EXIT);
      assertThat(output).contains("before it was interrupted, and the old bytes stand");
      assertThat(bytes(workers)).isEqualTo(CodeBytes.ofHex("0f1f440000"));
      workers.awaitCounter("calls", workers.counter("calls") + 100_000, LONG);
      workers.assertHealthy();
    }
  }

  @Test
  void aTargetThatEndsEndsTheCommandWith5() {
    try (Fixture workers = Fixture.start("workers", "--sites", "nop_62")) {
      CompletableFuture<Run> toggling =
          CompletableFuture.supplyAsync(
              () ->
                  Run.of("toggle", workers.pid(), "nop_62", "--jump", "repl", "--count", FOR_EVER));
      workers.awaitCounter("results_new", 10_000, LONG);
      workers.signal("SIGKILL");

      toggling.join().assertFailed(5);
    }
  }

  private static CodeBytes bytes(Fixture workers) {
    try (ProcMemReader memory = new ProcMemReader(workers.pid())) {
      return memory.read(workers.address("nop_62"), 5);
    }
  }

  private static Process toggle(Fixture workers) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "toggle",
            Integer.toString(workers.pid()),
            "nop_62",
            "--jump",
            "repl",
            "--count",
            FOR_EVER)
        .redirectErrorStream(true)
        .start();
  }
}
