package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.livepatch.TransitionListener;
import java.io.PrintWriter;

/**
 * Shows what a change waits for: on a terminal in place, else each change of it in a line. Used by
 * one thread.
 */
final class Blockers implements TransitionListener, AutoCloseable {
  private static final String CLEAR = "\r\u001b[K";

  private final PrintWriter err;
  private final boolean inPlace;
  private String shown = "";

  Blockers(PrintWriter err, boolean inPlace) {
    this.err = err;
    this.inPlace = inPlace;
  }

  static Blockers on(PrintWriter err) {
    return new Blockers(err, Progress.stderrIsTerminal());
  }

  @Override
  public void blocked(int tries, ImmutableList<String> blockers) {
    String now = blockers.isEmpty() ? "threads were too slow" : String.join("; ", blockers);
    if (inPlace) {
      err.print(CLEAR + "waiting, try " + tries + ": " + now);
      err.flush();
    } else if (!now.equals(shown)) {
      err.println("waiting: " + now);
    }
    shown = now;
  }

  @Override
  public void close() {
    if (inPlace && !shown.isEmpty()) {
      err.print(CLEAR);
      err.flush();
    }
  }
}
