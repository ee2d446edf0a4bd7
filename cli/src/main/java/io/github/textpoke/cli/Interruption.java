package io.github.textpoke.cli;

import java.util.concurrent.CountDownLatch;

/**
 * While it is open, the end of the JVM (Ctrl-C, SIGTERM) waits until what is under way has stopped
 * with the old bytes in place.
 */
final class Interruption implements AutoCloseable {
  private final CountDownLatch over = new CountDownLatch(1);
  private final Thread hook;

  private Interruption(Runnable stop) {
    hook =
        new Thread(
            () -> {
              stop.run();
              awaitEnd();
            },
            "textpoke interruption");
  }

  /**
   * @param stop asks for what is under way to stop; of a thread of its own
   */
  static Interruption watch(Runnable stop) {
    Interruption interruption = new Interruption(stop);
    Runtime.getRuntime().addShutdownHook(interruption.hook);
    return interruption;
  }

  private void awaitEnd() {
    boolean interrupted = false;
    while (true) {
      try {
        over.await();
        break;
      } catch (InterruptedException later) {
        interrupted = true; // the target's old bytes go first
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    over.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException ending) {
      // The JVM is ending: the hook runs, and was just let go.
    }
  }
}
