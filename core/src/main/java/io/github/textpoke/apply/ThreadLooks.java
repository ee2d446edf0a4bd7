package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.util.concurrent.locks.LockSupport;

/**
 * Looks at every thread of the target, until each was seen as it should be. Of the tracer's thread.
 *
 * <ol>
 *   <li>A thread that does not run is not stopped: the kernel tells where it will go on, and where
 *       its stack is.
 *   <li>One that runs is interrupted on its own, for as long as it takes to read its registers and
 *       its stack. A trap of ours that it has to report comes first.
 *   <li>One that was not seen as it should be is looked at again, until the time is over.
 * </ol>
 *
 * <p>Who is born meanwhile is not looked at: it comes from a system call.
 */
final class ThreadLooks {
  private static final long LOOK_NANOS = 50_000;
  private static final long LOOK_AGAIN_NANOS = 100_000;
  private static final long LOOK_AGAIN_MOST_NANOS = 20_000_000;

  /** So many events are taken before we sleep, whatever happens. */
  private static final int EVENTS = 8;

  /** How long a thread that was asked to stop may take, before it is looked at from outside. */
  private static final long STOP_NANOS = 2_000_000;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final Tracees tracees;

  /** Whom the threads are shown to. One that is content clears {@link Tracees#EVACUATING}. */
  interface Onlooker {
    /** A round begins. */
    void look(MemoryMap mappings);

    /**
     * A thread is stopped, with no trap of ours to report, and may be moved: its instruction
     * pointer is where it will go on.
     */
    void see(int index);

    /** A thread is stopped that has run a breakpoint of ours, and will be sent on. */
    void seeTrapped(int index);

    /**
     * A thread does not run.
     *
     * @param where it will go on
     * @return false: it has to be stopped to be looked at
     */
    boolean seeBlocked(int index, BlockedCall where);
  }

  ThreadLooks(Tracer tracer) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.tracees = tracer.tracees;
  }

  /**
   * Shows all threads.
   *
   * @param deadline of {@link System#nanoTime}; each is looked at once at least
   * @return whether {@code onlooker} is content with all
   * @throws PatchException if the target has ended or runs another program
   */
  boolean run(Onlooker onlooker, long deadline) {
    tracer.setOnlooker(onlooker);
    long pause = LOOK_AGAIN_NANOS;
    for (int i = 0; i < tracees.size(); i++) {
      tracees.set(i, Tracees.EVACUATING);
    }
    while (true) {
      onlooker.look(MemoryMap.read(tracer.pid()));
      for (int i = 0; i < tracees.size(); i++) {
        if (tracees.has(i, Tracees.EVACUATING)) {
          look(onlooker, i);
          // Who stops does not wait until all are looked at. Whom that moves in the list, and we
          // pass over, is looked at next time.
          tracer.handlePending();
        }
      }
      awaitStops();
      tracer.checkAlive();
      if (tracees.count(Tracees.EVACUATING) == 0) {
        return true;
      }
      if (System.nanoTime() - deadline > 0) {
        return false;
      }
      if (!isAwaited()) {
        // No event tells that a handler returns, but the trap that may follow.
        LockSupport.parkNanos(Math.min(pause, deadline - System.nanoTime()));
        pause = Math.min(2 * pause, LOOK_AGAIN_MOST_NANOS);
      }
      tracer.handlePending();
    }
  }

  /** Nobody is looked at any more. */
  void end() {
    for (int i = 0; i < tracees.size(); i++) {
      tracees.clear(i, Tracees.EVACUATING | Tracees.ASKED);
    }
  }

  private void look(Onlooker onlooker, int index) {
    int tid = tracees.tid(index);
    if (tracees.has(index, Tracees.PARKED | Tracees.HELD | Tracees.STOPPED)) {
      if (tracees.has(index, Tracees.HELD) && ptrace.signalCode(tid) == Ptrace.SI_KERNEL) {
        onlooker.seeTrapped(index);
      } else {
        onlooker.see(index);
      }
      return;
    }
    BlockedCall where = BlockedCall.read(tid);
    if (where == null) {
      ProcStatus status = ProcStatus.read(tid);
      if (status == null || status.isDead()) {
        tracees.clear(index, Tracees.EVACUATING);
        return;
      }
    } else if (!where.running() && onlooker.seeBlocked(index, where)) {
      return;
    }
    if (!tracees.has(index, Tracees.ASKED) && ptrace.interrupt(tid) == 0) {
      tracees.set(index, Tracees.ASKED);
    }
  }

  /** Waits until all who were asked to stop have, or have blocked instead. */
  private void awaitStops() {
    long start = System.nanoTime();
    int events = 0;
    while (isAwaited() && !tracer.isOver() && System.nanoTime() - start < STOP_NANOS) {
      int tid = events % EVENTS == EVENTS - 1 ? 0 : ptrace.await(false);
      events++;
      if (tid > 0) {
        tracer.handle(tid, ptrace.status());
      } else if (tid < 0) {
        tracer.markGone();
      } else {
        // waitpid knows no time-out. Threads that trap again and again would keep us awake, and who
        // is to stop may need this processor.
        LockSupport.parkNanos(LOOK_NANOS);
      }
    }
  }

  private boolean isAwaited() {
    for (int i = 0; i < tracees.size(); i++) {
      if (tracees.has(i, Tracees.EVACUATING) && tracees.has(i, Tracees.ASKED)) {
        return true;
      }
    }
    return false;
  }
}
