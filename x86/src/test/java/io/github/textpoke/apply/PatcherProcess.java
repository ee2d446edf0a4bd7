package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Iterables;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.PlanJson;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A {@link PatcherProgram} in a JVM of its own: started, listened to, stopped and killed. It ends
 * with this object, and with the test's JVM. Not thread-safe.
 */
final class PatcherProcess implements AutoCloseable {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final int SIGKILL = 9;

  /** The exit code of one that SIGKILL has ended. */
  static final int KILLED = 128 + SIGKILL;

  private static final int SIGCONT = 18;
  private static final int SIGSTOP = 19;

  /** Stands for the end of what it prints. */
  static final String NO_MORE = "(it has ended)";

  private final Process process;
  private final LinkedBlockingQueue<String> lines = new LinkedBlockingQueue<>();
  private final StringBuffer output = new StringBuffer();

  private PatcherProcess(Process process) {
    this.process = process;
    PatcherProgram.daemon(this::listen, "patcher output");
  }

  /**
   * Starts the JVM, and does not wait until it is ready.
   *
   * @param work a {@link PatcherProgram.Work} as it is written in the program's arguments
   */
  static PatcherProcess start(
      String work, PatcherLoad load, EngineChoice engine, int pid, Iterable<PatchPlan> plans) {
    ImmutableList<String> command =
        ImmutableList.<String>builder()
            .add(Path.of(System.getProperty("java.home"), "bin", "java").toString())
            .add("--enable-native-access=ALL-UNNAMED")
            // It starts fast, and leaves no file of performance data when it is killed.
            .add("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
            .addAll(load.jvmOptions)
            .add("-cp", System.getProperty("java.class.path"))
            .add(PatcherProgram.class.getName())
            .add(work, load.name(), engine.name(), Integer.toString(pid))
            .addAll(Iterables.transform(plans, PlanJson::write))
            .build();
    try {
      return new PatcherProcess(new ProcessBuilder(command).redirectErrorStream(true).start());
    } catch (IOException e) {
      throw new UncheckedIOException("starting a JVM that patches", e);
    }
  }

  private void listen() {
    try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        if (!line.equals(PatcherProgram.WORKING)) {
          output.append(line).append('\n');
        }
        lines.add(line);
      }
    } catch (IOException e) {
      output.append("reading from it: ").append(e).append('\n');
    }
    lines.add(NO_MORE);
  }

  /** Waits until the JVM is up, and lets it attach. */
  void go() {
    awaitLine(PatcherProgram.READY);
    send(PatcherProgram.GO);
  }

  /** Asks it to leave the target and to end. */
  void askToEnd() {
    send(PatcherProgram.END);
  }

  private void send(int command) {
    try {
      process.getOutputStream().write(command);
      process.getOutputStream().flush();
    } catch (IOException e) {
      throw new UncheckedIOException("a command to " + this, e);
    }
  }

  /**
   * Waits until it prints a line that begins with one of {@code prefixes}.
   *
   * @return the line
   * @throws AssertionError if it ends, or the time is over, before
   */
  String awaitLine(String... prefixes) {
    String line = awaitLineOrEnd(prefixes);
    if (line.equals(NO_MORE)) {
      throw new AssertionError(this + " did not print " + List.of(prefixes) + ", but ended");
    }
    return line;
  }

  /**
   * As {@link #awaitLine}, but it may end.
   *
   * @return the line, or {@link #NO_MORE}
   */
  String awaitLineOrEnd(String... prefixes) {
    long deadline = System.nanoTime() + SOON.toNanos();
    for (String line = poll(deadline); !line.equals(NO_MORE); line = poll(deadline)) {
      for (String prefix : prefixes) {
        if (line.startsWith(prefix)) {
          return line;
        }
      }
    }
    return NO_MORE;
  }

  private String poll(long deadline) {
    try {
      String line = lines.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
      if (line == null) {
        throw new AssertionError("waited " + SOON + " for a line of " + this);
      }
      return line;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted while waiting for " + this, e);
    }
  }

  /** Forgets the lines that it has printed and nobody has waited for. */
  void forgetLines() {
    lines.clear();
  }

  /** Sends SIGKILL, unless it has ended already, and does not wait for the end. */
  void kill() {
    int pid = (int) process.pid();
    Kernel.sendSignal(pid, pid, SIGKILL);
  }

  /** Sends SIGSTOP: all its threads stop. */
  void stop() {
    signal(SIGSTOP);
  }

  /** Sends SIGCONT. */
  void resume() {
    signal(SIGCONT);
  }

  private void signal(int number) {
    int pid = (int) process.pid();
    long result = Kernel.sendSignal(pid, pid, number);
    if (result != 0) {
      throw new AssertionError("signal " + number + " to " + this + ": errno " + -result);
    }
  }

  /**
   * Waits until it has ended and the kernel has taken it apart.
   *
   * @return the exit code; 128 and the signal's number where one has killed it
   */
  int awaitEnd() {
    try {
      if (process.waitFor(SOON.toSeconds(), TimeUnit.SECONDS)) {
        return process.exitValue();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    throw new AssertionError(this + " has not ended");
  }

  /** Kills it, if it has not ended, and waits for its end. */
  @Override
  public void close() {
    process.destroyForcibly();
    awaitEnd();
  }

  @Override
  public String toString() {
    return "patcher " + process.pid() + " (its output: " + output.toString().strip() + ")";
  }
}
