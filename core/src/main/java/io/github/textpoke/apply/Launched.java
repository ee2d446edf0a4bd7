package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/**
 * A program that was started by {@link Launch}, and that runs. Thread-safe. To close it is to leave
 * it alone: it runs on, and its patches stay.
 */
public final class Launched implements AutoCloseable {
  private final int pid;
  private final AttachOptions options;
  private final CompletableFuture<ProgramEnd> end;
  private final Optional<RuntimeException> failure;
  private @org.jspecify.annotations.Nullable TargetProcess process;
  private boolean closed;

  Launched(
      int pid,
      AttachOptions options,
      @org.jspecify.annotations.Nullable TargetProcess process,
      CompletableFuture<ProgramEnd> end,
      Optional<RuntimeException> failure) {
    this.pid = pid;
    this.options = options;
    this.process = process;
    this.end = end;
    this.failure = failure;
  }

  /** The process id. */
  public int pid() {
    return pid;
  }

  /**
   * The program as a process to patch; that which the patches were made with. It belongs to this
   * object, and is closed with it.
   *
   * @throws PatchException as {@link TargetProcess#attach(int)}
   */
  public synchronized TargetProcess process() {
    TargetProcess known = process;
    if (known == null) {
      known = TargetProcess.attach(pid, options);
      process = known;
      if (closed) {
        known.close();
      }
    }
    return known;
  }

  /** Why the program runs unpatched: see {@link Launch#unpatchedOnFailure}. */
  public Optional<RuntimeException> failure() {
    return failure;
  }

  /** Whether the program has not ended, as far as its parent has heard. */
  public boolean isAlive() {
    return !end.isDone();
  }

  /**
   * Waits for the program's end.
   *
   * @throws PatchException if its parent, the launcher, was killed before
   */
  public ProgramEnd waitFor() throws InterruptedException {
    try {
      return end.get();
    } catch (ExecutionException failed) {
      throw unchecked(failed);
    }
  }

  /**
   * Sends the program a signal; nothing happens where it has ended.
   *
   * @param number the signal's, as 15 for SIGTERM
   * @throws PatchException if it may not be sent
   */
  public void signal(int number) {
    long result = end.isDone() ? 0 : Kernel.sendSignal(pid, number);
    if (result < 0 && result != -Errno.ESRCH) {
      throw new SystemCallException(
          "kill(" + pid + ", " + number + ")", (int) -result, Outcome.UNTOUCHED);
    }
  }

  /** The program's end, when it comes. */
  public CompletableFuture<ProgramEnd> onExit() {
    return end.copy();
  }

  /** What has made work on another thread fail, to be thrown here. */
  static RuntimeException unchecked(Exception wrapper) {
    Throwable cause = wrapper.getCause();
    if (cause instanceof Error error) {
      throw error;
    }
    return cause instanceof RuntimeException failure ? failure : new CompletionException(wrapper);
  }

  /** Leaves the program: it runs on. Idempotent. */
  @Override
  public synchronized void close() {
    closed = true;
    if (process != null) {
      process.close();
    }
  }
}
