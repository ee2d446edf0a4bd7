package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@RequiresPtrace
@Timeout(120)
class LivePatchCommandsTest {
  private static final Duration LONG = Duration.ofSeconds(30);

  /** {@code #2 0x000055d425c0b12d in new_hold () at ...}. */
  private static final Pattern FRAME =
      Pattern.compile("^#\\d+ +(?:0x[0-9a-f]+ in )?([^ ]+) \\(", Pattern.MULTILINE);

  private final Fixture service = Fixture.start("service");

  @TempDir private Path directory;

  @AfterEach
  void stop() {
    try (Fixture stopped = service) {
      stopped.assertHealthy();
    }
  }

  private static Path file(String name) {
    return Fixture.program("service_" + name + ".so");
  }

  private Run run(String command, Object... arguments) {
    return Run.of(
        ImmutableList.builder()
            .add("livepatch", command, service.pid())
            .add(arguments)
            .build()
            .toArray());
  }

  private JsonObject onlyOne() {
    return run("list", "--json").json().getAsJsonArray("livePatches").get(0).getAsJsonObject();
  }

  @Test
  void aPatchIsLoadedEnabledDisabledAndUnloaded() {
    assertThat(run("load", file("v2")).assertDone().out()).contains("live patch 1 is registered");
    assertThat(onlyOne().get("state").getAsString()).isEqualTo("REGISTERED");
    assertThat(run("enable", 1, "--wait", "20s").out()).contains("live patch 1 is enabled");
    assertThat(onlyOne().get("state").getAsString()).isEqualTo("ENABLED");
    assertThat(onlyOne().getAsJsonArray("functions")).isNotEmpty();
    assertThat(onlyOne().get("file").getAsString()).isEqualTo(file("v2").toString());
    assertThat(Run.of("status", service.pid()).assertDone().out()).contains("live patch 1: ");
    assertThat(run("disable", 1, "--wait", "20s").out()).contains("live patch 1 is disabled");
    assertThat(run("list").assertDone().out()).contains("1 live patch", "disabled");
    assertThat(run("unload", 1).assertDone().out()).startsWith("live patch 1 is un");
  }

  @Test
  void whatHasNoDescriptionReplacesWhatIsCalledTheSame() {
    run("load", file("names")).assertDone();
    assertThat(onlyOne().getAsJsonArray("functions"))
        .extracting(JsonElement::getAsString)
        .containsExactlyInAnyOrder("compute", "tick");
    run("enable", 1).assertDone();
    service.awaitCounter("ticks_3", 3, LONG);
    run("disable", 1).assertDone();
    service.awaitCounter("ticks_1", service.counter("ticks_1") + 3, LONG);
    run("unload", 1).assertDone();
  }

  @Test
  void withTheLineForItGdbNamesNewFunctionsAndTheirCallers() throws Exception {
    Path folder = Files.createDirectory(directory.resolve("a folder's name"));
    Path file = Files.copy(file("hold"), folder.resolve("hold.so"));
    assertThat(run("load", file).assertDone().out()).contains("gdb: add-symbol-file ");
    run("enable", 1);
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);

    assertThat(framesOfNewHold("echo")).isEmpty();
    assertThat(framesOfNewHold(onlyOne().get("gdb").getAsString()))
        .containsSubsequence("new_hold", "compute", "handle_request", "hold_thread");

    service.command("release");
    service.awaitCounter("let_go", 1, LONG);
  }

  /** The functions on the stack of the thread that is in {@code new_hold}, from that one on. */
  private ImmutableList<String> framesOfNewHold(String command)
      throws IOException, InterruptedException {
    Path output = directory.resolve("gdb.txt");
    int exitCode =
        new ProcessBuilder(
                "gdb",
                "-nx",
                "-batch",
                "-iex",
                "set debuginfod enabled off",
                "-p",
                Integer.toString(service.pid()),
                "-ex",
                command,
                "-ex",
                "thread apply all bt")
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start()
            .waitFor();
    String text = Files.readString(output);
    assertThat(exitCode).as(text).isZero();
    assertThat(text).contains("keep_house"); // it has seen the program's threads
    return FRAME
        .matcher(text)
        .results()
        .map(frame -> frame.group(1))
        .dropWhile(function -> !function.equals("new_hold"))
        .collect(ImmutableList.toImmutableList());
  }

  @Test
  void aCallInAWrongStateFailsAndNamesTheState() {
    run("load", file("v2")).assertDone();

    assertThat(run("disable", 1).assertFailed(3).err()).contains("is registered");
    assertThat(run("enable", 2).assertFailed(2).err()).contains("2");
  }

  @Test
  void aPatchThatDoesNotWantToBeEnabledIsRefused() {
    run("load", file("veto")).assertDone();

    run("enable", 1).assertFailed(3);
    assertThat(onlyOne().get("state").getAsString()).isEqualTo("REGISTERED");
  }

  @Test
  void threadsThatStayInTheOldCodeAreNamedWhileItWaitsAndInTheEnd() throws IOException {
    Path description =
        Files.writeString(
            directory.resolve("hold.json"),
            """
            {"name": "hold", "consistency": "when-unused", "objects": [{"name": "",
             "functions": [{"old": "hold", "new": "new_hold"}]}]}""");
    run("load", file("hold"), "--spec", description).assertDone();
    run("enable", 1);
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);

    // Longer than a try takes: what the last one has met is not told of as waited for.
    Run waited = run("disable", 1, "--wait", "2s");

    assertThat(waited.exitCode()).isEqualTo(6);
    assertThat(waited.err().lines().filter(line -> line.startsWith("waiting: thread ")))
        .isNotEmpty();
    assertThat(waited.err().lines().filter(line -> line.startsWith("textpoke: "))).hasSize(1);
    assertThat(onlyOne().get("state").getAsString()).isEqualTo("ENABLED");
    service.command("release");
    service.awaitCounter("let_go", 1, LONG);
    assertThat(run("disable", 1).exitCode()).isZero();
  }

  @Test
  void eachChangeOfTheBlockersIsOneLineWhereThereIsNoTerminal() {
    StringWriter err = new StringWriter();
    try (Blockers blockers = new Blockers(new PrintWriter(err, true), false)) {
      blockers.blocked(1, ImmutableList.of("thread 1"));
      blockers.blocked(2, ImmutableList.of("thread 1"));
      blockers.blocked(3, ImmutableList.of("thread 2"));
    }
    assertThat(err.toString().lines()).containsExactly("waiting: thread 1", "waiting: thread 2");
  }

  @Test
  void onATerminalTheBlockersAreRewrittenAndGoInTheEnd() {
    StringWriter err = new StringWriter();
    try (Blockers blockers = new Blockers(new PrintWriter(err, true), true)) {
      blockers.blocked(1, ImmutableList.of("thread 1"));
      blockers.blocked(2, ImmutableList.of("thread 2"));
    }
    assertThat(err.toString())
        .doesNotContain("\n")
        .contains("\rwaiting, try 1: thread 1".replace("\r", "\r\u001b[K"))
        .endsWith("thread 2\r\u001b[K");
  }
}
