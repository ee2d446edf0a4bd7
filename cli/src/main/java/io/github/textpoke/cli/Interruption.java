package io.github.textpoke.cli;

import java.util.concurrent.CountDownLatch;

/**
 * While it is open, the end of the JVM (Ctrl-C, SIGTERM) waits until toggling has stopped with the
 * old bytes in place.
 */
final class Interruption implements AutoCloseable {
  private final CountDownLatch over = new CountDownLatch(1);
  private final Thread hook;

  private Interruption(Measurement measurement) {
    hook =
        new Thread(
            () -> {
              measurement.stop();
              awaitEnd();
            },
            "textpoke interruption");
  }

  static Interruption watch(Measurement measurement) {
    Interruption interruption = new Interruption(measurement);
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
