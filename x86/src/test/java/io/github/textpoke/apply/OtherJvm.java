package io.github.textpoke.apply;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Another JVM with this one's class path, and a line to it. It is killed in the end. */
public final class OtherJvm implements AutoCloseable {
  private static final long SOON_SECONDS = 60;

  private final Process process;
  private final BufferedReader out;

  private OtherJvm(Process process) {
    this.process = process;
    this.out = process.inputReader(UTF_8);
  }

  /** Runs the class with these arguments. */
  public static OtherJvm start(Class<?> main, Object... arguments) {
    List<String> command = new ArrayList<>();
    Collections.addAll(
        command,
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-Xmx128m",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        System.getProperty("java.class.path"),
        main.getName());
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    try {
      return new OtherJvm(new ProcessBuilder(command).redirectError(Redirect.INHERIT).start());
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Waits for a line. Its end comes with the JVM's. */
  public void awaitLine(String expected) {
    assertThat(nextLine()).isEqualTo(expected);
  }

  /** The next line that it prints; null: it has ended. */
  public String nextLine() {
    try {
      return out.readLine();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Writes it a line. */
  public void send(String line) {
    try {
      process.outputWriter(UTF_8).append(line).append('\n').flush();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** With SIGKILL; when this returns, the kernel has let go of what it traced. */
  public void kill() {
    process.destroyForcibly();
    boolean interrupted = false;
    while (process.isAlive()) {
      try {
        process.waitFor();
      } catch (InterruptedException later) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits until it ends by itself. */
  public int awaitEnd() {
    try {
      if (process.waitFor(SOON_SECONDS, TimeUnit.SECONDS)) {
        return process.exitValue();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return fail("it has not ended");
  }

  @Override
  public void close() {
    kill();
  }
}
