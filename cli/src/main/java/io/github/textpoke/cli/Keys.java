package io.github.textpoke.cli;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * While it is open, keys of the terminal are read one by one, and not shown. Ctrl-C stays what it
 * is. The terminal's settings are put back when it is closed: also at the end of the JVM, where an
 * {@link Interruption} around it waits for that; and while Ctrl-Z has stopped this process.
 */
final class Keys implements AutoCloseable {
  private static final Signal STOP = new Signal("TSTP");
  private static final File TERMINAL = new File("/dev/tty");

  /** No lines, no echo; a read ends after a tenth of a second without a key: see termios(3). */
  private static final List<String> ONE_BY_ONE =
      List.of("-icanon", "-echo", "min", "0", "time", "1");

  /**
   * The terminal is set by a program that keys and a change of the foreground neither end nor stop.
   */
  private static final List<String> STTY =
      List.of(
          "sh",
          "-c",
          "trap '' INT QUIT HUP TERM TSTP TTIN TTOU; exec stty \"$@\" < /dev/tty",
          "sh");

  /** As stty -g has printed them; null: no key is read. */
  private final @Nullable String settings;

  private @Nullable SignalHandler before;
  private volatile boolean isClosed;

  private Keys(@Nullable String settings) {
    this.settings = settings;
  }

  /**
   * Reads keys, if somebody is there to press them: where this process is in the foreground of a
   * terminal.
   *
   * @param isWanted else none are read
   * @param key that is waited for, a letter
   * @param pressed is called each time, on another thread
   */
  static Keys watch(boolean isWanted, char key, Runnable pressed) {
    Keys keys = new Keys(isWanted && SignalsPassedOn.isInForeground() ? settings() : null);
    if (keys.isWatching()) {
      keys.begin();
      Thread reader = new Thread(() -> keys.read(key, pressed), "textpoke keys");
      reader.setDaemon(true);
      reader.start();
    }
    return keys;
  }

  /** Whether keys are read. */
  boolean isWatching() {
    return settings != null;
  }

  private synchronized void begin() {
    stty(ONE_BY_ONE);
    before = Signal.handle(STOP, signal -> pause());
    if (before == SignalHandler.SIG_IGN) {
      // As who has started this JVM wants it.
      Signal.handle(STOP, SignalHandler.SIG_IGN);
    }
  }

  /** Stops this process as the signal would have; goes on when it is continued. */
  private synchronized void pause() {
    String now = settings;
    if (isClosed || now == null) {
      return;
    }
    stty(List.of(now));
    run(List.of("sh", "-c", "kill -STOP " + ProcessHandle.current().pid()));
    if (SignalsPassedOn.isInForeground()) {
      stty(ONE_BY_ONE);
    }
  }

  private void read(char key, Runnable pressed) {
    try (InputStream terminal = new FileInputStream(TERMINAL)) {
      while (!isClosed) {
        int read = terminal.read();
        if (Character.toLowerCase(read) == key) {
          pressed.run();
        }
      }
    } catch (IOException gone) {
      // The terminal was closed: nobody is there any more.
      isClosed = true;
    }
  }

  /** The terminal's settings; null where there is no terminal, or no stty. */
  private static @Nullable String settings() {
    return stty(List.of("-g"));
  }

  /** What stty prints; null where it fails. */
  private static @Nullable String stty(List<String> arguments) {
    List<String> command = new ArrayList<>(STTY);
    command.addAll(arguments);
    return run(command);
  }

  /** What a program on the terminal prints; null where it fails. */
  private static @Nullable String run(List<String> command) {
    try {
      Process running =
          new ProcessBuilder(command)
              .redirectInput(Redirect.from(TERMINAL))
              .redirectError(Redirect.DISCARD)
              .start();
      String printed =
          new String(running.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
      return running.onExit().join().exitValue() == 0 ? printed : null; // which no interrupt ends
    } catch (IOException noTerminal) {
      return null;
    }
  }

  /** Puts the settings back. */
  @Override
  public synchronized void close() {
    isClosed = true;
    if (before != null) {
      Signal.handle(STOP, before);
    }
    if (settings != null) {
      stty(List.of(settings));
    }
  }
}
