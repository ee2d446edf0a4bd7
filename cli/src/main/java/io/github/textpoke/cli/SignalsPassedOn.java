package io.github.textpoke.cli;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * While it is open, signals that would end this JVM go to a program that it has started, which may
 * take them and go on. What the terminal sends, it sends to the whole process group: the program
 * has it already. Before there is a program they end this JVM.
 */
final class SignalsPassedOn implements AutoCloseable {
  private static final ImmutableList<String> OF_TERMINAL = ImmutableList.of("INT", "HUP");
  private static final ImmutableList<String> OF_OTHERS = ImmutableList.of("TERM", "USR1", "ALRM");

  /** Fields of /proc/PID/stat behind the command's name: process group, and the terminal's. */
  private static final int GROUP = 2;

  private static final int TERMINAL_GROUP = 5;
  private static final int ENDED_BY = 128;

  /** What this JVM was started to ignore; bit n-1 is signal n. */
  private static final long IGNORED = ignored();

  private final AtomicReference<@Nullable Launched> program = new AtomicReference<>();
  private final List<Runnable> undo = new ArrayList<>();

  private SignalsPassedOn() {}

  /** From now on. */
  static SignalsPassedOn watch() {
    SignalsPassedOn passing = new SignalsPassedOn();
    OF_TERMINAL.forEach(passing::handle);
    OF_OTHERS.forEach(passing::handle);
    return passing;
  }

  private void handle(String name) {
    Signal signal = new Signal(name);
    if ((IGNORED & 1L << signal.getNumber() - 1) != 0) {
      // Then the program ignores it too, and would not if it were handled here.
      return;
    }
    SignalHandler before = Signal.handle(signal, this::pass);
    undo.add(() -> Signal.handle(signal, before));
  }

  private void pass(Signal signal) {
    Launched target = program.get();
    if (target == null) {
      System.exit(ENDED_BY + signal.getNumber());
    } else if (!OF_TERMINAL.contains(signal.getName()) || !isInForeground()) {
      target.signal(signal.getNumber());
    }
  }

  private static long ignored() {
    ProcStatus status = ProcStatus.read((int) ProcessHandle.current().pid());
    return status == null ? 0 : status.ignored();
  }

  /** Whether a terminal's keys reach this process, and so the program too. */
  static boolean isInForeground() {
    try {
      String stat = Files.readString(Path.of("/proc/self/stat"));
      List<String> fields = Splitter.on(' ').splitToList(stat.substring(stat.lastIndexOf(')') + 2));
      return fields.get(GROUP).equals(fields.get(TERMINAL_GROUP));
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  /** The program is there. */
  void to(Launched started) {
    program.set(started);
  }

  @Override
  public void close() {
    undo.forEach(Runnable::run);
  }
}
