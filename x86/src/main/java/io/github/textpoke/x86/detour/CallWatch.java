package io.github.textpoke.x86.detour;

import com.google.common.util.concurrent.Uninterruptibles;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Sees announced calls of any number of programs, on one thread, that is there while there are
 * some. Thread-safe.
 */
public final class CallWatch implements AutoCloseable {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  /** Between two looks, each of which reads one cache line of each program. */
  private static final long PAUSE_NANOS = 300_000;

  private static final long TICK_NANOS = 20_000_000;

  /** Between two looks at whether programs have ended. */
  private static final long SWEEP_NANOS = 10_000_000_000L;

  private final String name;
  private final List<Watched> all = new CopyOnWriteArrayList<>();
  private @Nullable Thread thread;
  private volatile boolean closed;

  /**
   * What is seen of a program's calls, all on one thread.
   *
   * @param calls that it announces
   * @param onCall is given each; the call goes on when it returns
   * @param onTick is called each 20 ms
   * @param isUsed whether anybody may still announce a call
   */
  public record Watched(
      AnnouncedCalls calls,
      Consumer<AnnouncedCalls.Call> onCall,
      Runnable onTick,
      BooleanSupplier isUsed) {}

  /**
   * @param name of the thread
   */
  public CallWatch(String name) {
    this.name = name;
  }

  /** Watches these too; where it is closed, they are let go of. */
  public synchronized void add(Watched more) {
    if (closed) {
      more.calls.disarm();
      return;
    }
    all.add(more);
    if (thread == null) {
      thread = new Thread(this::run, name);
      thread.setDaemon(true);
      thread.start();
    }
  }

  private void run() {
    long sweep = System.nanoTime() + SWEEP_NANOS;
    long tick = System.nanoTime() + TICK_NANOS;
    while (!closed) {
      boolean isQuiet = true;
      for (Watched each : all) {
        isQuiet &= !look(each);
      }
      long now = System.nanoTime();
      if (now - tick > 0) {
        all.forEach(each -> attempt(each.onTick));
        tick = now + TICK_NANOS;
      }
      if (now - sweep > 0) {
        sweep = now + SWEEP_NANOS;
        if (isOver()) {
          return;
        }
      }
      if (isQuiet) {
        // They wake nobody outside of their process.
        LockSupport.parkNanos(PAUSE_NANOS);
      }
    }
  }

  /** What goes wrong with one program is not to be the others' end. */
  private static void attempt(Runnable work) {
    try {
      work.run();
    } catch (RuntimeException | Error failure) {
      LOGGER.log(System.Logger.Level.WARNING, "a call that was announced", failure);
    }
  }

  private boolean isOver() {
    List<Watched> gone = new ArrayList<>();
    for (Watched each : all) {
      attempt(
          () -> {
            if (!each.isUsed.getAsBoolean()) {
              gone.add(each);
            }
          });
    }
    // Who has forked from them and is still there is not to wait for us.
    gone.forEach(each -> each.calls.disarm());
    synchronized (this) {
      all.removeAll(gone);
      if (all.isEmpty()) {
        thread = null;
      }
      return all.isEmpty();
    }
  }

  /** Whether there was a call. */
  private static boolean look(Watched watched) {
    AnnouncedCalls.Call call = watched.calls.next().orElse(null);
    if (call != null) {
      attempt(() -> watched.onCall.accept(call));
      watched.calls.release(call);
    }
    if (!watched.calls.isArmed()) {
      // One has waited in vain, while this JVM stood still.
      watched.calls.arm();
    }
    return call != null;
  }

  /** Sees no more; calls that wait go on. Idempotent. */
  @Override
  public void close() {
    Thread looking;
    synchronized (this) {
      closed = true;
      looking = thread;
    }
    if (looking != null) {
      Uninterruptibles.joinUninterruptibly(looking);
    }
    all.forEach(each -> each.calls.disarm());
  }
}
