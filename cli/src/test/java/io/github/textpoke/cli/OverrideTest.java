package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import io.github.textpoke.fixtures.Fixture;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** {@code apply --return}. Needs the right to trace the program that it starts. */
class OverrideTest {
  private static final Duration LONG = Duration.ofSeconds(60);

  private final Fixture syncer = Fixture.start("syncer");

  @AfterEach
  void stop() {
    try (Fixture stopped = syncer) {
      stopped.assertHealthy();
      assertThat(stopped.counter("wrong_0")).isZero();
    }
  }

  /** So that one of them began after now. */
  private void await(String counter) {
    syncer.awaitCounter(counter, syncer.counter(counter) + 2, LONG);
  }

  /** The first one. More than there are now may never come: the time may be over. */
  private void awaitFailure() {
    syncer.awaitCounter("failed_0", 1, LONG);
  }

  /** Every call that begins now ends as {@code counter} says. */
  private void assertOnly(String counter, String other) {
    await(counter);
    long others = syncer.counter(other);
    await(counter);
    assertThat(syncer.counter(other)).isEqualTo(others);
  }

  @Test
  void aFunctionReturnsWhatWasSaidUntilItIsReverted() {
    Run run =
        Run.of("apply", syncer.pid(), "libc:fsync", "--return", "-1", "--errno", "EIO")
            .assertDone();

    assertThat(run.out())
        .contains("libc.so.6:fsync of process " + syncer.pid() + " returns -1 with errno EIO");
    assertOnly("failed_0", "ok_0");
    String back =
        run.out().lines().filter(line -> line.startsWith("back")).findFirst().orElseThrow();
    Run.ofLine(back.replaceFirst("back +", "")).assertDone();
    assertOnly("ok_0", "failed_0");
  }

  @Test
  void asManyCallsAreOverriddenAsWasSaid() {
    JsonObject json =
        Run.of(
                "apply",
                syncer.pid(),
                "libc:fsync",
                "--return=-1",
                "--errno=EIO",
                "--times=5",
                "--every=2",
                "--json")
            .json();

    assertThat(json.get("override").getAsString())
        .isEqualTo("returns -1 with errno EIO, one of 2 calls, at most 5 times");
    syncer.awaitCounter("failed_0", 5, LONG);
    assertOnly("ok_0", "failed_0");
    assertThat(syncer.counter("failed_0")).isEqualTo(5);
  }

  @Test
  void anOverrideForATimeIsTakenBackWhenThatIsOver() {
    CompletableFuture<Run> overriding =
        CompletableFuture.supplyAsync(
            () ->
                Run.of(
                    "apply", syncer.pid(), "libc:fsync", "--return=-1", "--errno=EIO", "--for=1s"));
    awaitFailure();
    assertThat(overriding.join().assertDone().out()).contains("reverted, ");
    assertOnly("ok_0", "failed_0");
    assertThat(Run.of("status", syncer.pid()).assertDone().out())
        .contains("reverted; its code is kept");
  }

  @Test
  void anOverrideEndsInTimeAlsoWhenItsCommandIsKilled() throws Exception {
    Process overriding = start("--return=-1", "--errno=EIO", "--for=8s");
    awaitFailure();
    overriding.destroyForcibly().waitFor();
    assertOnly("failed_0", "ok_0");
    await("ok_0");
    assertOnly("ok_0", "failed_0");
    Run.of("revert", syncer.pid(), "--all").assertDone();
    assertOnly("ok_0", "failed_0");
  }

  @Test
  void aCommandThatIsToldToEndTakesItsOverrideBack() throws Exception {
    Process overriding = start("--return=-1", "--errno=EIO", "--for=100m");
    awaitFailure();
    // Process.destroy would close the stream as well.
    overriding.toHandle().destroy();
    String output = new String(overriding.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    overriding.waitFor();
    assertThat(output).contains("reverted, ");
    assertOnly("ok_0", "failed_0");
  }

  @Test
  void badConditionsAreBadUsage() {
    String pid = Integer.toString(syncer.pid());
    for (String[] bad :
        new String[][] {
          {"--return", "x"},
          {"--return=-1", "--errno", "EMANY"},
          {"--return=-1", "--times", "0"},
          {"--return=-1", "--every", "0"},
          {"--return=-1", "--for", "0"},
          {"--return=-1", "--probability", "2"},
          {"--return=-1", "--seed", "2"},
          {"--return=-1", "--nop"},
          {"--return=-1", "--was", "90"},
          {"--errno", "EIO"},
        }) {
      Object[] words = new Object[3 + bad.length];
      words[0] = "apply";
      words[1] = pid;
      words[2] = "libc:fsync";
      System.arraycopy(bad, 0, words, 3, bad.length);
      Run.of(words).assertFailed(ExitCode.USAGE);
    }
  }

  private Process start(String... options) throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "apply",
            Integer.toString(syncer.pid()),
            "libc:fsync");
    builder.command().addAll(java.util.List.of(options));
    return builder.redirectErrorStream(true).start();
  }
}
