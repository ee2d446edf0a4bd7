package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class UsageTest {
  /** Larger than any pid_max: no process has it. */
  private static final String NOBODY = "99999999";

  @ParameterizedTest
  @ValueSource(
      strings = {
        "textpoke",
        "textpoke frobnicate",
        "textpoke symbols",
        "textpoke symbols zero",
        "textpoke symbols 0",
        "textpoke symbols -5",
        "textpoke symbols 1 * more",
        "textpoke inspect 1",
        "textpoke inspect 1 +5",
        "textpoke plan 1 f",
        "textpoke plan 1 f --nop --jump g",
        "textpoke plan 1 f --bytes 0f1",
        "textpoke plan 1 f --bytes",
        "textpoke plan 1 f --jump #1",
        "textpoke apply 1 f --nop --count 3",
        "textpoke toggle 1 f --nop",
        "textpoke toggle 1 f --nop --count 0",
        "textpoke toggle 1 f --nop --count many",
        "textpoke toggle 1 f --nop --count 5 --interval 5",
        "textpoke toggle 1 f --nop --count 5 --interval 5h",
        "textpoke survey",
        "textpoke survey --json",
        "textpoke status",
        "textpoke status 1 2",
        "textpoke revert 1",
        "textpoke revert 1 0",
        "textpoke revert 1 first",
        "textpoke revert 1 2 3",
        "textpoke revert 1 2 --all",
        "textpoke recover",
        "textpoke launch",
        "textpoke launch --json true",
        "textpoke launch --output counts true",
        "textpoke launch --replace main true",
        "textpoke launch --replace main=new.so true",
        "textpoke launch --replace =new.so:f true",
        "textpoke launch --replace main=:f true",
        "textpoke launch --replace main=new.so: true",
      })
  void badUsageEndsWith2AndOneLine(String line) {
    Run run = Run.ofLine(line).assertFailed(2);
    assertThat(run.err()).contains("--help' shows how").doesNotContain("Error:");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "symbols",
        "inspect PID f",
        "plan PID f --nop",
        "apply PID f --nop",
        "toggle",
        "status PID",
        "revert PID 1",
        "revert PID --all",
        "recover PID"
      })
  void aProcessThatIsNotThereEndsWith5(String command) {
    String line =
        switch (command) {
          case "symbols" -> "symbols PID";
          case "toggle" -> "toggle PID f --nop --count 1";
          default -> command;
        };
    Run run = Run.ofLine("textpoke " + line.replace("PID", NOBODY)).assertFailed(5);
    assertThat(run.err()).contains("no process " + NOBODY);
  }

  @Test
  void debugAddsTheStackTrace() {
    Run run = Run.of("symbols", NOBODY, "--debug");

    assertThat(run.exitCode()).isEqualTo(5);
    assertThat(run.err()).contains("textpoke: no process").contains("\tat io.github.textpoke");
  }

  @Test
  void helpNamesEveryCommandAndExitCode() {
    Run run = Run.of("--help").assertDone();

    assertThat(run.out())
        .contains(
            "symbols", "inspect", "plan", "apply", "toggle", "status", "revert", "recover",
            "survey");
    assertThat(run.out()).contains("rolled back").contains("[object:]symbol[#n][+offset]");
  }

  @ParameterizedTest
  @CsvSource({
    "0,PT0S",
    "7ns,PT0.000000007S",
    "500us,PT0.0005S",
    "10ms,PT0.01S",
    "2s,PT2S",
    "1m,PT1M"
  })
  void readsDurations(String text, String expected) {
    assertThat(new Arguments.Time().convert(text)).isEqualTo(Duration.parse(expected));
  }
}
