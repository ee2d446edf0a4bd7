package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command, in a JVM of its own, and the same program started by itself: what is different. */
@RequiresPtrace
@Timeout(value = 120, unit = TimeUnit.SECONDS)
final class LaunchCommandTest {
  /** What a program gets from whoever starts it, as unlike the usual as it can be. */
  private static final String SURROUNDINGS =
      """
      trap '' %s
      umask 027
      ulimit -S -n 333
      ulimit -S -c 0
      exec 7< /dev/null 8>> "$1"
      cd "$2"
      shift 2
      exec env 'not a name=1' EMPTY= "$(printf 'BYTES=\\377\\376')" nice -n 3 "$@"
      """;

  /** SIGSETXID of nptl. */
  private static final int LIBC_SIGNAL = 33;

  @TempDir Path folder;

  @BeforeAll
  static void libraryIsBesideTheProgram() {
    Fixture.program("libearly.so");
  }

  private static ImmutableList<String> java(String... arguments) {
    return ImmutableList.<String>builder()
        .add(Path.of(System.getProperty("java.home"), "bin", "java").toString())
        .add("-XX:-MaxFDLimit", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        .add("-Dtextpoke.descriptors=0,1,2,7,8")
        .add("-cp", System.getProperty("java.class.path"), Main.class.getName())
        .add(arguments)
        .build();
  }

  private Process start(String ignored, List<String> command) throws IOException {
    List<String> words =
        ImmutableList.<String>builder()
            .add("sh", "-c", SURROUNDINGS.formatted(ignored), "sh")
            .add(folder.resolve("eight").toString(), folder.toString())
            .addAll(command)
            .build();
    return new ProcessBuilder(words)
        .redirectInput(Redirect.from(Path.of("/dev/null").toFile()))
        .redirectOutput(folder.resolve("output").toFile())
        .redirectError(folder.resolve("error").toFile())
        .start();
  }

  private String text(String file) throws IOException {
    return Files.readString(folder.resolve(file), StandardCharsets.ISO_8859_1);
  }

  private static ImmutableList<String> launch(List<String> options, List<String> program) {
    return ImmutableList.<String>builder()
        .addAll(java("launch"))
        .addAll(options)
        .add("--")
        .addAll(program)
        .build();
  }

  @ParameterizedTest
  @CsvSource({"USR1 INT, exit, 17", "TRAP, exit, 0", "HUP CHLD, kill, 10"})
  void theProgramIsAsIfItHadBeenStartedByItself(String ignored, String how, String number)
      throws Exception {
    List<String> program =
        List.of(Fixture.program("inherited").toString(), how, number, "-x", "--", "two words", "");

    int alone = start(ignored, program).waitFor();
    String output = text("output");
    assertThat(output).contains("fd 8 ", "limit 7 333 ", "variable not a name=1", "nice 3 ");
    assertThat(text("error")).isEmpty();
    int launched =
        start(ignored, launch(List.of("--return", "libc:fsync=0", "--return", "main=1"), program))
            .waitFor();

    assertThat(text("error")).isEmpty();
    // main is the first thing that differs: it does not run.
    assertThat(launched).isEqualTo(1);
    assertThat(text("output")).isEmpty();
    launched = start(ignored, launch(List.of("--return", "libc:fsync=0"), program)).waitFor();
    assertThat(text("error")).isEmpty();
    assertThat(launched).isEqualTo(alone);
    assertThat(lines(text("output"))).isEqualTo(lines(output));
  }

  /** But for signal 33, which the JVM's libc takes for itself and does not pass on as ignored. */
  private static List<String> lines(String output) {
    return output.lines().map(LaunchCommandTest::withoutLibcSignal).toList();
  }

  private static String withoutLibcSignal(String line) {
    String name = "SigIgn:\t";
    return line.startsWith(name)
        ? name
            + Long.toHexString(
                Long.parseUnsignedLong(line.substring(name.length()), 16)
                    & ~(1L << LIBC_SIGNAL - 1))
        : line;
  }

  @Test
  void nothingOfAProgramRunsBeforeItIsPatched() throws Exception {
    List<String> program = List.of(Fixture.program("early").toString());
    List<String> options =
        List.of(
            "--return", "early:early_in_preinit=0",
            "--return", "early_in_constructor=0,0,0",
            "--return", "libearly.so:early_in_library=0",
            "--return", "early_result=0x2a");

    assertThat(start("USR2", launch(options, program)).waitFor()).isEqualTo(42);
    assertThat(text("output")).isEqualTo("main\n");
    assertThat(text("error")).isEmpty();
  }

  @Test
  void whatIsCountedFromTheFirstCallOnIsPrintedWhenTheProgramHasEnded() throws Exception {
    List<String> program = List.of(Fixture.program("counted").toString(), "kill", "10");
    List<String> options = List.of("--probe", "counted:in_*", "--probe", "libcounted:in_library");

    assertThat(start("USR2", launch(options, program)).waitFor()).isEqualTo(128 + 10);
    assertThat(text("output")).isEqualTo("in_executable 111\nin_library 1007\n");
    assertThat(text("error").lines())
        .containsExactly(
            "calls  function",
            "1,007  libcounted.so:in_library",
            "111    counted:in_executable",
            "2 of 2 functions were called");
    String counts = folder.resolve("counts").toString();
    options = List.of("--probe", "main", "--probe", "libc:malloc", "--json", "--output", counts);
    program = List.of(program.get(0), "exit", "7");
    assertThat(start("USR2", launch(options, program)).waitFor()).isEqualTo(7);
    assertThat(text("error")).isEmpty();
    JsonObject printed = JsonParser.parseString(text("counts")).getAsJsonObject();
    assertThat(printed.get("exitCode").getAsInt()).isEqualTo(7);
    JsonObject functions = printed.getAsJsonObject("functions");
    assertThat(functions.keySet()).containsExactly("counted:main", "libc.so.6:malloc");
    assertThat(functions.getAsJsonObject("counted:main").get("count").getAsLong()).isEqualTo(1);
    // The library's constructor calls it.
    assertThat(functions.getAsJsonObject("libc.so.6:malloc").get("count").getAsLong())
        .isGreaterThanOrEqualTo(7);
  }

  @Test
  void whatChildrenExecuteIsPatchedAndCountedToo() throws Exception {
    Fixture.program("libearly.so");
    List<String> program =
        List.of(
            Fixture.program("executor").toString(), "system", Fixture.program("early").toString());
    String counts = folder.resolve("counts").toString();
    List<String> options =
        List.of(
            "--follow-children",
            "--json",
            "--output",
            counts,
            "--return",
            "early:early_in_preinit=0",
            "--return",
            "early_in_constructor=0",
            "--return",
            "libearly.so:early_in_library=0",
            "--replace",
            "early:early_result=" + Fixture.program("early_new.so") + ":new_in_constructor",
            "--probe",
            "early:main");

    assertThat(start("USR2", launch(options, program)).waitFor()).isZero();
    assertThat(text("error")).isEmpty();
    assertThat(text("output")).isEqualTo("main\n");
    JsonObject printed = JsonParser.parseString(text("counts")).getAsJsonObject();
    assertThat(printed.getAsJsonObject("functions").keySet()).isEmpty();
    JsonArray children = printed.getAsJsonArray("children");
    JsonObject early = children.get(children.size() - 1).getAsJsonObject();
    assertThat(early.has("failure")).isFalse();
    assertThat(early.get("program").getAsString()).isEqualTo(program.get(2));
    assertThat(
            early
                .getAsJsonObject("functions")
                .getAsJsonObject("early:main")
                .get("count")
                .getAsLong())
        .isEqualTo(1);
  }

  @Test
  void onlyCallsWithTheArgumentsThatAreMeantAreCounted() throws Exception {
    List<String> program = List.of(Fixture.program("counted").toString(), "exit", "0");
    List<String> options = List.of("--probe", "counted:in_executable", "--when", "arg1:i32>=5");

    assertThat(start("USR2", launch(options, program)).waitFor()).isZero();
    // Of a constructor's ten calls, and main's hundred.
    assertThat(text("error").lines())
        .containsExactly(
            "calls  function", "100    counted:in_executable", "1 of 1 function was called");
  }

  @Test
  void callsAreTimedAndPrintedFromTheFirstOn() throws Exception {
    List<String> program = List.of(Fixture.program("counted").toString(), "exit", "0");
    List<String> options = List.of("--latency", "--probe", "counted:in_executable");

    assertThat(start("USR2", launch(options, program)).waitFor()).isZero();
    assertThat(text("error").lines())
        .hasSize(3)
        .first()
        .asString()
        .matches("calls +p50 +p99 +function");
    assertThat(text("error").lines().skip(1)).first().asString().matches("111 .* ns  counted:.*");

    options = List.of("--capture", "arg1:i32,ret:i32", "--probe", "counted:in_executable");
    assertThat(start("USR2", launch(options, program)).waitFor()).isZero();
    List<String> lines = text("error").lines().toList();
    assertThat(lines).hasSize(111 + 3);
    assertThat(lines.get(0)).matches(".* counted:in_executable\\(arg1=1\\) = 2, .* ns");
    assertThat(lines.get(111)).isEqualTo("calls  function");
  }

  @Test
  void functionsAreReplacedBeforeTheirFirstCall() throws Exception {
    List<String> program = List.of(Fixture.program("early").toString());
    String object = Fixture.program("early_new.so").toString();
    List<String> options =
        List.of(
            "--replace", "early:early_in_preinit=" + object + ":new_in_preinit",
            "--replace", "early_in_constructor=" + object + ":new_in_constructor",
            "--replace", "libearly.so:early_in_library=" + object + ":new_in_library",
            "--probe", "early_in_preinit",
            "--probe", "early_in_constructor",
            "--probe", "early_in_library",
            "--return", "early_result=0x2a");

    assertThat(start("USR2", launch(options, program)).waitFor()).isEqualTo(42);
    assertThat(text("output")).isEqualTo("main\n");
    assertThat(text("error").lines())
        .contains(
            "1      early:early_in_preinit",
            "1      early:early_in_constructor",
            "1      libearly.so:early_in_library",
            "3 of 3 functions were called");
  }

  @Test
  void whatIsNotStartedEndsWith125AndSaysWhy() throws Exception {
    List<String> program = List.of(Fixture.program("inherited").toString());

    assertThat(start("USR2", launch(List.of("--return", "no_such_function=0"), program)).waitFor())
        .isEqualTo(LaunchCommand.NOT_STARTED);
    assertThat(text("error")).startsWith("textpoke: no symbol 'no_such_function'");
    assertThat(text("output")).isEmpty();
    assertThat(start("USR2", launch(List.of(), List.of("no-such-program"))).waitFor())
        .isEqualTo(LaunchCommand.NOT_STARTED);
    assertThat(text("error")).contains("no program 'no-such-program'").hasLineCount(1);
  }

  @Test
  void aSignalToTheCommandReachesTheProgram() throws Exception {
    Process command =
        start("USR2", launch(List.of(), List.of(Fixture.program("inherited").toString(), "wait")));
    while (!text("output").contains("limit 15 ")) {
      assertThat(command.isAlive()).isTrue();
      Thread.onSpinWait();
    }
    command.destroy(); // SIGTERM

    assertThat(command.waitFor()).isEqualTo(128 + 15);
  }
}
