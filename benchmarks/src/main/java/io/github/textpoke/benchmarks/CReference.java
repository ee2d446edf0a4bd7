package io.github.textpoke.benchmarks;

import com.google.common.collect.ImmutableList;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** {@code reference.c}: a process that pokes its own code, with nothing in between. */
final class CReference implements Contender {
  private final Path program;
  private final boolean range;

  /**
   * @param program the compiled reference
   * @param range whether it writes all sites of a step at once
   */
  CReference(Path program, boolean range) {
    this.program = program;
    this.range = range;
  }

  @Override
  public String name() {
    return range ? "C, in ranges" : "C";
  }

  @Override
  public boolean isInRanges() {
    return range;
  }

  @Override
  public boolean canDo(Scenario scenario) {
    return !range || scenario.sites() > 1;
  }

  @Override
  public Round measure(Scenario scenario) {
    ImmutableList.Builder<String> command = ImmutableList.builder();
    command.add(program.toString());
    command.add("--workers", Integer.toString(scenario.workers()));
    command.add("--sites", Integer.toString(scenario.sites()));
    command.add("--pokes", Integer.toString(scenario.pokes()));
    command.add("--warmup", Integer.toString(Scenario.WARM_UP));
    command.add("--interval", Long.toString(scenario.intervalNanos()));
    command.add("--realtime");
    if (range) {
      command.add("--range");
    }
    return parse(run(command.build()));
  }

  /** Reads the line of JSON that the reference prints. */
  static Round parse(String line) {
    JsonObject result = JsonParser.parseString(line).getAsJsonObject();
    return new Round(
        result.get("median").getAsLong(),
        result.get("p99").getAsLong(),
        result.get("max").getAsLong(),
        result.get("traps").getAsLong(),
        result.get("realtime").getAsBoolean());
  }

  private static String run(ImmutableList<String> command) {
    try {
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      String output =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      int code = process.waitFor();
      if (code != 0) {
        throw new IllegalStateException(command + " ended with " + code + ": " + output);
      }
      return output;
    } catch (IOException failed) {
      throw new UncheckedIOException("running " + command, failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while " + command + " ran", interrupted);
    }
  }
}
