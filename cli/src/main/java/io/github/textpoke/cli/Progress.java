package io.github.textpoke.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Timer;
import java.util.TimerTask;
import org.jspecify.annotations.Nullable;

/** Shows on a terminal how far toggling is; shows nothing where stderr is none. */
final class Progress implements AutoCloseable {
  private static final Path STDERR = Path.of("/proc/self/fd/2");
  private static final long PERIOD_MILLIS = 200;

  private final @Nullable Timer timer;

  private Progress(@Nullable Timer timer) {
    this.timer = timer;
  }

  static Progress start(Measurement measurement, long count) {
    if (!stderrIsTerminal()) {
      return new Progress(null);
    }
    Timer timer = new Timer("textpoke progress", true);
    timer.schedule(
        new TimerTask() {
          @Override
          public void run() {
            System.err.printf("\r%,d of %,d toggles ", measurement.pokes() / 2, count);
          }
        },
        PERIOD_MILLIS,
        PERIOD_MILLIS);
    return new Progress(timer);
  }

  /** The JDK's console would be there from JDK 22 on, terminal or not. */
  static boolean stderrIsTerminal() {
    try {
      String file = Files.readSymbolicLink(STDERR).toString();
      return file.startsWith("/dev/pts/") || file.startsWith("/dev/tty");
    } catch (IOException | UnsupportedOperationException unknown) {
      return false; // progress is a comfort: what is not known to be a terminal gets none
    }
  }

  @Override
  public void close() {
    if (timer != null) {
      timer.cancel();
      System.err.print("\r\u001b[K");
      System.err.flush();
    }
  }
}
