package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.detour.OverrideBody.Places;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/** Runs bodies on this processor, in a process of C: run_bodies.c. The hostile clock says 10 s. */
final class Bodies implements AutoCloseable {
  /** What a call gave where the original ran. */
  static final String ORIGINAL = "original";

  private static final int FIRST = 0x40;

  private final Process process;
  private final Writer commands;
  private final BufferedReader answers;
  private final ImmutableList<Long> addresses;

  /** Which functions a body calls: those that change all they may, or those of the system. */
  enum Callees {
    HOSTILE,
    REAL
  }

  /** How many calls went on to the original, how many were overridden, and what differed. */
  record Crossing(long passed, long overridden, String difference) {}

  /** errno of the thread that called and of another: the C library's, and the fixture's. */
  record ErrorNumbers(int library, int fixture, int otherLibrary, int otherFixture) {}

  /** Compiles the program. */
  static void compile(Path directory) throws IOException, InterruptedException {
    try (InputStream text = Bodies.class.getResourceAsStream("run_bodies.c")) {
      Files.copy(Objects.requireNonNull(text), directory.resolve("run_bodies.c"));
    }
    Process compiler =
        new ProcessBuilder(
                "gcc",
                "-std=gnu11",
                "-O2",
                "-Wall",
                "-Werror",
                "-pthread",
                "run_bodies.c",
                "-ldl",
                "-o",
                "run_bodies")
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .start();
    String output = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(compiler.waitFor()).as(output).isZero();
  }

  /** Starts the program that was compiled. */
  Bodies(Path directory) throws IOException {
    process =
        new ProcessBuilder("./run_bodies")
            .directory(directory.toFile())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    commands = process.outputWriter(StandardCharsets.US_ASCII);
    answers = process.inputReader(StandardCharsets.US_ASCII);
    addresses =
        words(answers.readLine()).stream()
            .map(word -> Long.decode(word))
            .collect(ImmutableList.toImmutableList());
    setClock(10, 0);
  }

  /** Where a body of this program is. */
  Places places(Callees callees, long deadline) {
    boolean hostile = callees == Callees.HOSTILE;
    return new Places(
        FIRST,
        addresses.get(0),
        addresses.get(1),
        addresses.get(2),
        addresses.get(hostile ? 4 : 6),
        addresses.get(hostile ? 3 : 5),
        deadline);
  }

  /** Makes a body and puts it there, as new. */
  OverrideBody load(ReturnOverride override, Callees callees, long deadline) throws IOException {
    OverrideBody body = OverrideBody.of(override, places(callees, deadline));
    load(body);
    return body;
  }

  /** As above, for an override that has no deadline. */
  OverrideBody load(ReturnOverride override) throws IOException {
    return load(override, Callees.HOSTILE, Long.MIN_VALUE);
  }

  void load(OverrideBody body) throws IOException {
    tell("load %s %s".formatted(hex(body.code()), hex(body.data())));
  }

  /** What the hostile clock says. */
  void setClock(long seconds, long nanos) throws IOException {
    tell("now %d %d 0".formatted(seconds, nanos));
  }

  /** The hostile clock tells nothing, but that it fails. */
  void breakClock() throws IOException {
    tell("now 0 0 1");
  }

  private void tell(String command) throws IOException {
    assertThat(ask(command)).isEqualTo("ok");
  }

  /** Calls from many threads with random registers; a difference is in its words. */
  Crossing cross(long seed, int runs, int threads, long value) throws IOException {
    List<String> words =
        words(
            ask(
                "registers %d %d %d %s"
                    .formatted(seed, runs, threads, Long.toUnsignedString(value))));
    return new Crossing(Long.parseLong(words.get(0)), Long.parseLong(words.get(1)), words.get(2));
  }

  /** What one call after the other gives. */
  List<String> callInOrder(int calls) throws IOException {
    return words(ask("ordered " + calls));
  }

  /** What calls of many threads give, each with how often. */
  ImmutableMap<String, Long> call(int threads, int calls) throws IOException {
    return words(ask("calls %d %d".formatted(threads, calls))).stream()
        .map(word -> Splitter.on('=').splitToList(word))
        .collect(
            ImmutableMap.toImmutableMap(pair -> pair.get(0), pair -> Long.parseLong(pair.get(1))));
  }

  /** How often the original ran, and the override, while signals whose handler calls, too, came. */
  Crossing callInterrupted(int threads, int times) throws IOException {
    List<String> words = words(ask("interrupted %d %d".formatted(threads, times)));
    return new Crossing(Long.parseLong(words.get(0)), Long.parseLong(words.get(1)), "-");
  }

  /** Sets errno in two threads, and calls once in one of them. */
  ErrorNumbers errnoAfterCall(int before) throws IOException {
    List<Integer> numbers =
        words(ask("errno " + before)).stream().map(Integer::valueOf).collect(Collectors.toList());
    return new ErrorNumbers(numbers.get(0), numbers.get(1), numbers.get(2), numbers.get(3));
  }

  /** The first bytes of the data block as they are now. */
  CodeBytes data(int length) throws IOException {
    return CodeBytes.ofHex(ask("data " + length));
  }

  private String ask(String command) throws IOException {
    commands.write(command + "\n");
    commands.flush();
    String answer = answers.readLine();
    assertThat(answer).as("the answer to %s", command).isNotNull();
    return answer;
  }

  private static List<String> words(String line) {
    return Splitter.on(' ').omitEmptyStrings().splitToList(line);
  }

  private static String hex(CodeBytes bytes) {
    return bytes.length() == 0 ? "-" : bytes.hex().replace(" ", "");
  }

  @Override
  public void close() throws IOException, InterruptedException {
    commands.close();
    assertThat(process.waitFor()).isZero();
  }
}
