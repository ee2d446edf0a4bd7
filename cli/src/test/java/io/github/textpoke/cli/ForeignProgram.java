package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * A program that no one here wrote, as a child of a shell: the JVM's own children lose their ptrace
 * stops to its process reaper. It is killed when this is closed, and when the JVM ends.
 */
final class ForeignProgram implements AutoCloseable {
  /** Whoever becomes the program says its number, which comes before what the program says. */
  private static final String KEEPER =
      "sh -c 'echo $$; exec \"$@\"' sh \"$@\" & pid=$!;"
          + " read -r end; kill -9 $pid; wait 2> /dev/null";

  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final Process shell;
  private final BufferedReader output;
  private final int pid;

  private ForeignProgram(Process shell) throws IOException {
    this.shell = shell;
    this.output = shell.inputReader();
    this.pid = Integer.parseInt(output.readLine());
  }

  static ForeignProgram start(String... command) {
    List<String> words =
        ImmutableList.<String>builder().add("sh", "-c", KEEPER, "sh").add(command).build();
    try {
      return new ForeignProgram(new ProcessBuilder(words).redirectError(Redirect.INHERIT).start());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  int pid() {
    return pid;
  }

  boolean isAlive() {
    return ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false);
  }

  /** Waits until its first thread sleeps in this system call: then its libraries are loaded. */
  void awaitCall(int number) {
    Path call = Path.of("/proc", Integer.toString(pid), "syscall");
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    try {
      while (!Files.readString(call).startsWith(number + " ")) {
        if (System.nanoTime() - deadline > 0) {
          throw new AssertionError("process " + pid + " is not in call " + number);
        }
        LockSupport.parkNanos(100_000);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The next line that it prints; fails if it has ended. */
  String line() {
    try {
      String line = output.readLine();
      if (line == null) {
        throw new AssertionError("the program has ended");
      }
      return line;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() throws IOException, InterruptedException {
    shell.outputWriter().close();
    shell.waitFor();
  }
}
