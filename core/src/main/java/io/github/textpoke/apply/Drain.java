package io.github.textpoke.apply;

import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.util.concurrent.locks.LockSupport;

/**
 * Sees each running thread in a stop, once: before we leave, or all at once where nothing else
 * helps.
 */
final class Drain {
  private static final long LOOK_NANOS = 50_000;
  private static final long LOOK_AGAIN_NANOS = 2_000_000;

  /** In a busy program somebody wakes all the time. */
  private static final int ROUNDS = 4;

  private static final long STOP_DEADLINE_NANOS = 1_000_000_000;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final Tracees tracees;

  Drain(Tracer tracer) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.tracees = tracer.tracees;
  }

  /**
   * Makes sure that no thread has a trap of ours still to report. A thread blocked in a system call
   * can't be between a breakpoint and its signal: it is left alone. One that runs is interrupted on
   * its own, for microseconds.
   *
   * <p>SIGCONT wakes the blocked threads of who is traced (kernel/signal.c, ptrace_trap_notify).
   * While we trace them, their calls are issued again; those that wake as we leave would see an
   * EINTR that they never had without us. So whoever was blocked is looked at again, until none of
   * them runs.
   */
  void drain() {
    if (tracer.isOver()) {
      return;
    }
    tracer.handlePending();
    boolean all = true;
    for (int round = 0; round < ROUNDS && !tracer.isOver(); round++) {
      tracer.forgetRepairs();
      boolean isAny = stopRunning(all);
      tracer.handlePending();
      awaitNone(Tracees.DRAINING, Long.MAX_VALUE);
      // After SIGCONT, who runs may be about to block.
      boolean isAgain = tracer.hasRepaired();
      if (!all && !isAny && !isAgain) {
        break;
      }
      all = isAgain;
    }
    tracer.desk.forget();
  }

  /** Interrupts who runs, of all or of those that were blocked; whether there is any. */
  private boolean stopRunning(boolean all) {
    boolean isAny = false;
    for (int i = 0; i < tracees.size(); i++) {
      if (tracees.has(i, Tracees.GROUP_STOPPED) || !(all || tracees.has(i, Tracees.BLOCKED))) {
        continue;
      }
      int tid = tracees.tid(i);
      BlockedCall where = BlockedCall.read(tid);
      if (where == null) {
        continue;
      }
      tracees.set(i, Tracees.BLOCKED);
      if (where.running() || where.number() < 0 || where.makesChild()) {
        tracees.clear(i, Tracees.BLOCKED);
        if (ptrace.interrupt(tid) == 0) {
          tracees.set(i, Tracees.DRAINING);
          isAny = true;
        }
      }
    }
    return isAny;
  }

  /**
   * Waits until no thread has {@code flag}, and no child is still to report itself. A thread that
   * has blocked in a call meanwhile does not stop before the call ends, if it waits for a vfork: it
   * is clean. A zombie never stops.
   */
  private void awaitNone(int flag, long deadlineNanos) {
    long start = System.nanoTime();
    long look = start + LOOK_AGAIN_NANOS;
    while ((tracees.count(flag) > 0 || tracer.expectsChildren()) && !tracer.isOver()) {
      int tid = ptrace.await(false);
      if (tid > 0) {
        tracer.handle(tid, ptrace.status());
        continue;
      }
      if (tid < 0) {
        tracer.markGone();
        return;
      }
      // waitpid knows no time-out, and a thread that blocks makes no event.
      LockSupport.parkNanos(LOOK_NANOS);
      long now = System.nanoTime();
      if (now - look > 0) {
        look = now + LOOK_AGAIN_NANOS;
        forgetUnstoppable(flag);
        if (now - start > deadlineNanos) {
          return;
        }
      }
    }
  }

  private void forgetUnstoppable(int flag) {
    for (int i = tracees.size() - 1; i >= 0; i--) {
      int tid = tracees.tid(i);
      if (!tracees.has(i, flag)) {
        continue;
      }
      ProcStatus status = ProcStatus.read(tid);
      if (status == null || status.isDead()) {
        tracees.remove(tid);
        continue;
      }
      BlockedCall where = BlockedCall.read(tid);
      if (where != null && !where.running() && where.number() >= 0) {
        tracees.clear(i, flag);
      }
    }
    tracer.forgetDeadChildren();
  }

  /**
   * Stops every thread that runs; only where the protocol can't go on. One that is blocked in a
   * call runs no code of the program's.
   */
  void stopAll() {
    tracer.setStoppingAll(true);
    for (int i = 0; i < tracees.size(); i++) {
      int tid = tracees.tid(i);
      BlockedCall where = BlockedCall.read(tid);
      if (!tracees.has(i, Tracees.PARKED | Tracees.HELD | Tracees.GROUP_STOPPED)
          && where != null
          && (where.running() || where.number() < 0)
          && ptrace.interrupt(tid) == 0) {
        tracees.set(i, Tracees.STOPPING);
      }
    }
    awaitNone(Tracees.STOPPING, STOP_DEADLINE_NANOS);
  }

  /** Lets the threads run that {@link #stopAll} has stopped. */
  void resumeAll() {
    tracer.setStoppingAll(false);
    for (int i = 0; i < tracees.size(); i++) {
      tracees.clear(i, Tracees.STOPPING);
      if (tracees.has(i, Tracees.STOPPED)) {
        tracees.clear(i, Tracees.STOPPED);
        // If it was in a group stop, it reports that again.
        ptrace.interrupt(tracees.tid(i));
        ptrace.resume(tracees.tid(i), 0);
      }
    }
  }
}
