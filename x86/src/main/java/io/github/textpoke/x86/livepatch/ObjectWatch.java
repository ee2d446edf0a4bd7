package io.github.textpoke.x86.livepatch;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.x86.detour.HeldCalls;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * While it is open, the functions of a library that the program loads by dlopen are replaced before
 * its constructors and before anybody can call them, in every live patch that waits for it. Made by
 * {@link LivePatches#watch}; see there. Thread-safe.
 *
 * <p>dlopen calls the constructors by {@code _dl_catch_exception(NULL, call_dl_init, ...)}
 * (elf/dl-open.c of glibc), when the objects are mapped and relocated. A detour has that call wait
 * there until the live patches are {@linkplain LivePatches#refresh refreshed}. (dlclose makes a
 * call like it, which waits as well.) The program tells nobody that it waits, which would take a
 * system call of its own; so a thread here looks again and again.
 */
public final class ObjectWatch implements AutoCloseable {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  private static final String SITE = "libc:_dl_catch_exception";
  private static final String LABEL = "watch of dlopen by process ";

  /** Between two looks, each of which reads one cache line. */
  private static final long PAUSE_NANOS = 500_000;

  /** The program may map and unmap memory meanwhile, or another patcher may be at work. */
  private static final int ATTEMPTS = 4;

  private final LivePatches patches;
  private final HeldCalls calls;
  private final Thread thread;
  private volatile boolean closed;
  private volatile @Nullable PatchException end;

  private ObjectWatch(LivePatches patches, HeldCalls calls) {
    this.patches = patches;
    this.calls = calls;
    this.thread = new Thread(this::run, "textpoke-watch-" + patches.process().pid());
    thread.setDaemon(true);
  }

  static ObjectWatch start(LivePatches patches) {
    TargetProcess process = patches.process();
    HeldCalls calls =
        process.exclusively(
            () -> {
              process.patches().stream().filter(ObjectWatch::isLeftOver).forEach(Patch::revert);
              return patches
                  .detours()
                  .at(SITE)
                  .holdingNullCalls(LABEL + ProcessHandle.current().pid());
            });
    ObjectWatch watch = new ObjectWatch(patches, calls);
    watch.thread.start();
    return watch;
  }

  /** Of a JVM that was killed. */
  private static boolean isLeftOver(Patch patch) {
    return patch.label().startsWith(LABEL)
        && ProcessHandle.of(Long.parseLong(patch.label().substring(LABEL.length()))).isEmpty();
  }

  private void run() {
    try {
      // What has come since anybody looked.
      refresh();
      long seen = 0;
      while (!closed) {
        HeldCalls.State now = calls.state();
        if (now.visits() != seen) {
          refresh();
          calls.release(now.visits());
          seen = now.visits();
        } else if (!now.isArmed()) {
          // It has taken too long; we are there.
          calls.arm();
        } else {
          LockSupport.parkNanos(PAUSE_NANOS);
        }
      }
    } catch (PatchException failure) {
      end = failure;
      LOGGER.log(
          System.Logger.Level.WARNING,
          "dlopen in process {0} is not watched any more: {1}",
          Integer.toString(patches.process().pid()),
          failure.getMessage());
    }
  }

  /** What is still wrong after some attempts is logged; the rest is refreshed. */
  private void refresh() {
    for (int i = 1; i < ATTEMPTS; i++) {
      try {
        patches.refresh();
        return;
      } catch (TargetGoneException | TargetExecedException gone) {
        throw gone;
      } catch (PatchException failure) {
        LOGGER.log(System.Logger.Level.DEBUG, "a refresh is tried again", failure);
      }
    }
    patches
        .process()
        .exclusively(
            () -> {
              patches.refreshForCommand();
              return true;
            });
  }

  /**
   * Whether it watches: false when it was closed.
   *
   * @throws PatchException that has ended it: the program is gone, or can't be patched any more
   */
  public boolean isWatching() {
    PatchException failure = end;
    if (failure != null) {
      throw failure;
    }
    return !closed;
  }

  /**
   * Takes the detour back; a refresh that is under way is done first. Live patches stay as they
   * are. Nothing to do where the program is gone. Idempotent.
   *
   * @throws PatchException if the detour can't be taken back; nobody waits in it any more
   */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    awaitThread();
    try {
      calls.revert();
    } catch (TargetGoneException | TargetExecedException gone) {
      LOGGER.log(System.Logger.Level.DEBUG, "the detour is gone with its program", gone);
    }
  }

  private void awaitThread() {
    boolean wasInterrupted = false;
    while (thread.isAlive()) {
      LockSupport.unpark(thread);
      try {
        thread.join();
      } catch (InterruptedException e) {
        wasInterrupted = true;
      }
    }
    if (wasInterrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
