package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * The program that a thread of another process is about to execute. It is patched as a launched one
 * is, at the same two moments, and waits meanwhile in code of ours: for as long as it takes, or
 * until this JVM has been gone for five seconds, and then it begins with what is in place. Nothing
 * but the thread itself is stopped.
 */
public final class NextProgram {
  /**
   * How long another tracer is waited for. A poker that patches the thread's process may wait for
   * the thread meanwhile: for the one that has made it by vfork, and can't be stopped until then.
   */
  private static final Duration PATIENCE = Duration.ofMillis(100);

  private final ExecutingThread thread;
  private final Launch patches;
  private final BooleanSupplier waits;
  private final CompletableFuture<Optional<FollowedProgram>> begun = new CompletableFuture<>();
  private final CompletableFuture<Void> over = new CompletableFuture<>();

  private NextProgram(int tid, Launch patches, BooleanSupplier waits) {
    this.thread = new ExecutingThread(tid, PATIENCE);
    this.patches = patches;
    this.waits = waits;
  }

  /**
   * Traces a thread that waits, of its own will, before it calls execve. When this returns it may
   * go on. What it executes is followed and patched on other threads; where patching fails, what
   * stands is taken back, and the program runs unpatched.
   *
   * @param tid its id, in this JVM's namespace
   * @param patches what is called at the program's entry and when it is loaded, and the options;
   *     nothing else of it matters
   * @param waits whether the thread still waits; it is stopped then
   * @throws UnsupportedTargetException if the thread can't be traced, or has not waited; it is
   *     untouched
   */
  public static NextProgram follow(int tid, Launch patches, BooleanSupplier waits) {
    NextProgram next = new NextProgram(tid, patches, waits);
    CompletableFuture<Void> taken = new CompletableFuture<>();
    // What a thread has traced, nobody else is to hear of: each has one of its own.
    Thread made = new Thread(() -> next.run(taken), "textpoke-next-program-" + tid);
    made.setDaemon(true);
    made.start();
    try {
      taken.join(); // which no interrupt ends
    } catch (CompletionException failed) {
      throw Launched.unchecked(failed);
    }
    return next;
  }

  /**
   * Comes before the program begins: what it is. Empty where there is none, since the call failed
   * or the process has ended.
   */
  public CompletableFuture<Optional<FollowedProgram>> begun() {
    return begun.copy();
  }

  /** Comes when nothing of it is traced or held any more. */
  public CompletableFuture<Void> over() {
    return over.copy();
  }

  private void run(CompletableFuture<Void> taken) {
    try {
      thread.take(waits);
    } catch (Throwable failed) { // to who waits
      taken.completeExceptionally(failed);
      return;
    }
    taken.complete(null);
    try {
      follow();
    } catch (Throwable failed) { // to who waits
      begun.completeExceptionally(failed);
    } finally {
      over.complete(null);
    }
  }

  /** Who waits hears of the program before it begins: it may end at once. */
  private void follow() {
    Optional<HoldPages> held;
    try {
      held = thread.hold(Launching.code());
    } catch (PatchException failed) {
      begun.complete(Optional.of(program(Optional.of(failed))));
      return;
    }
    if (held.isEmpty()) {
      begun.complete(Optional.empty());
      return;
    }
    try (HoldPages pages = held.get()) {
      Optional<RuntimeException> failure = patch(pages);
      if (failure.isEmpty() && pages.isLate()) {
        failure =
            Optional.of(
                new LaunchFailedException(
                    "the program has begun before it was patched: this JVM stood still for seconds",
                    ""));
      }
      begun.complete(Optional.of(program(failure)));
    }
  }

  private Optional<RuntimeException> patch(HoldPages pages) {
    try (TargetProcess process = TargetProcess.attach(thread.pid, patches.options())) {
      try {
        for (Consumer<TargetProcess> each : patches.atEntry()) {
          each.accept(process);
        }
        if (!patches.whenLoaded().isEmpty()) {
          process.letGo();
          pages.goToLoaded();
        }
        for (Consumer<TargetProcess> each : patches.whenLoaded()) {
          each.accept(process);
        }
        return Optional.empty();
      } catch (RuntimeException failed) {
        Launching.takeBack(process, failed);
        return Optional.of(failed);
      }
    } catch (RuntimeException failed) {
      return Optional.of(failed);
    }
  }

  private FollowedProgram program(Optional<RuntimeException> failure) {
    try {
      return new FollowedProgram(
          thread.pid, Files.readSymbolicLink(Path.of("/proc/" + thread.pid + "/exe")), failure);
    } catch (IOException gone) {
      throw new UncheckedIOException(gone);
    }
  }
}
