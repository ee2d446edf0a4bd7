package io.github.textpoke.internal;

import com.google.common.base.Throwables;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/**
 * What an interrupt of the calling thread must not break. The JDK closes a channel whose thread is
 * interrupted; a caller who wants to end something would be told instead that a process or a file
 * is gone. Stateless and thread-safe.
 */
public final class Uninterruptibly {
  private Uninterruptibly() {}

  /** Opens what it needs by itself, so that it can be done again. */
  @FunctionalInterface
  public interface FileAccess<T> {
    /** Does it. */
    T access() throws IOException;
  }

  /**
   * The result of {@code access}, which is done again where an interrupt broke it. The thread's
   * interrupt status is what it would be without us.
   *
   * @throws IOException what else {@code access} throws
   */
  public static <T> T call(FileAccess<T> access) throws IOException {
    boolean interrupted = false;
    try {
      for (; ; ) {
        try {
          return access.access();
        } catch (ClosedByInterruptException again) {
          interrupted |= Thread.interrupted();
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /**
   * Runs {@code work} on a thread of its own, that nobody interrupts, and waits for its end: for
   * loading natives. JNR-FFI unpacks its library through a channel when it is first used, and after
   * a failure it is of no use in this JVM any more.
   *
   * @return what it returns
   */
  public static <T> T onOwnThread(Supplier<T> work) {
    CompletableFuture<T> answer =
        CompletableFuture.supplyAsync(
            work,
            task -> {
              Thread thread = new Thread(task, "textpoke-loader");
              thread.setDaemon(true);
              thread.start();
            });
    try {
      return answer.join(); // which no interrupt ends
    } catch (CompletionException failed) {
      Throwable cause = failed.getCause();
      if (cause != null) {
        Throwables.throwIfUnchecked(cause);
      }
      throw failed;
    }
  }
}
