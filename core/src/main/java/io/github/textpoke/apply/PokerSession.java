package io.github.textpoke.apply;

import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.SharedMemory;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/**
 * The line to helper and poker: requests and answers in memory that both share. Used by one thread
 * at a time.
 */
final class PokerSession {
  /** How long helper and poker may wait for the kernel. */
  private static final long LONGEST_NANOS = 60_000_000_000L;

  private static final long LOOK_NANOS = 100_000_000;
  private static final long LOOK_OFTEN_NANOS = 1_000_000;
  private static final long SPIN_NANOS = 100_000;
  private static final long LEAVE_LOOK_NANOS = 10_000_000;
  private static final long RELEASE_POLL_NANOS = 20_000;
  private static final int SIGCHLD = 17;
  private static final int SCRATCH_SIZE = 16;

  final SharedMemory memory;

  /** Where the target sees it. */
  final long base;

  private final int pid;
  private final int helper;
  private final Interference interference;
  private final NativeBytes scratch = new NativeBytes(SCRATCH_SIZE);
  private int poker;

  private Runnable contexts =
      () -> {
        throw new IllegalStateException("nothing is evacuated");
      };
  private long hold;

  /** First free byte for plans. */
  int next = SessionLayout.PLANS;

  PokerSession(int pid, int helper, SharedMemory memory, long base, Interference interference) {
    this.pid = pid;
    this.helper = helper;
    this.memory = memory;
    this.base = base;
    this.interference = interference;
  }

  int pid() {
    return pid;
  }

  /** The helper's thread id. */
  int helper() {
    return helper;
  }

  /** The poker's process id, as we number it; 0 where none runs, or it can't be found. */
  int poker() {
    long now = memory.getLong(SessionLayout.HOLD);
    if (now != hold) {
      hold = now;
      poker = ProcStatus.onlyChild(pid, helper);
    }
    return poker;
  }

  /** Whether helper and poker have left the target. */
  boolean hasLeft() {
    return memory.getInt(SessionLayout.STATE) == SessionLayout.LEFT
        || !Kernel.isThreadOf(pid, helper);
  }

  /** Whether there are breakpoints that stay: then the poker does, too. */
  boolean hasStanding() {
    return memory.getLong(SessionLayout.STANDING) != 0;
  }

  /** How a request ended. */
  enum Answer {
    /** It was answered: see the result. */
    ANSWERED,
    /** Nobody was there to take it on. */
    LEFT,
    /** It was cancelled, because nobody has taken it on for a while. */
    CANCELLED
  }

  /**
   * Sends a request and waits for its answer, for ever once it was taken on.
   *
   * @param patience how long it may take until somebody takes it on
   */
  Answer request(int command, Duration patience) {
    if (interference.pauses()) {
      // Else a plan that failed at its first step would let the next one go on there at once.
      memory.setInt(SessionLayout.GO_ON, 0);
    }
    int number = post(command);
    // An answer comes within microseconds; to sleep and be woken may take a scheduler's slice.
    long begun = System.nanoTime();
    while (memory.getInt(SessionLayout.ANSWERED) != number
        && !isAskedToLook()
        && System.nanoTime() - begun < SPIN_NANOS) {
      Thread.onSpinWait();
    }
    long deadline = begun + patience.toNanos();
    long look = interference.pauses() ? LOOK_OFTEN_NANOS : LOOK_NANOS;
    for (; ; ) {
      int answered = memory.getInt(SessionLayout.ANSWERED);
      if (answered == number) {
        return Answer.ANSWERED;
      }
      if (hasLeft()) {
        return memory.getInt(SessionLayout.ANSWERED) == number ? Answer.ANSWERED : Answer.LEFT;
      }
      if (isAskedToLook()) {
        contexts.run();
        continue;
      }
      memory.await(SessionLayout.ANSWERED, answered, look, scratch);
      if (interference.pauses()) {
        goOn();
      }
      if (System.nanoTime() - deadline > 0 && isInKernel() && deadline - begun < LONGEST_NANOS) {
        deadline += patience.toNanos();
      } else if (System.nanoTime() - deadline > 0
          && memory.compareAndSet(SessionLayout.TAKEN, number - 1, number)) {
        // Nobody will take it on any more; the next request finds it answered as cancelled.
        return Answer.CANCELLED;
      }
    }
  }

  /**
   * Whether helper or poker waits for the kernel and can't be interrupted: the first core sync of a
   * process waits for all processors (RCU), which takes long where the kernel's threads do not come
   * to run.
   */
  private boolean isInKernel() {
    ProcStatus ofPoker = ProcStatus.read(ProcStatus.onlyChild(pid, helper));
    ProcStatus ofHelper = ProcStatus.read(helper);
    return (ofPoker != null && ofPoker.state() == 'D')
        || (ofHelper != null && ofHelper.state() == 'D');
  }

  private boolean isAskedToLook() {
    return memory.getInt(SessionLayout.CONTEXTS) == SessionLayout.LOOK_FOR_CONTEXTS;
  }

  /**
   * What to do when no thread is inside of a site any more: it answers in {@link
   * SessionLayout#CONTEXTS}.
   */
  void onLook(Runnable look) {
    contexts = look;
  }

  private void goOn() {
    int paused = memory.getInt(SessionLayout.PAUSED);
    if (paused != 0 && memory.getInt(SessionLayout.GO_ON) != paused) {
      try {
        interference.before(paused - 1);
      } finally {
        memory.setInt(SessionLayout.GO_ON, paused);
        memory.wake(SessionLayout.GO_ON);
      }
    }
  }

  /** What the last answer says. */
  long result() {
    return memory.getLong(SessionLayout.RESULT);
  }

  /**
   * Ends the session, and waits until the threads are free. A helper that job control has stopped
   * leaves later, and one that has breakpoints which stay does not. Idempotent.
   */
  void leave() {
    leave(Long.MAX_VALUE);
  }

  /**
   * As {@link #leave()}, but waits no longer than {@code patience}: a program may be frozen.
   *
   * @return whether the threads are free
   */
  boolean leave(Duration patience) {
    return leave(patience.toNanos());
  }

  private boolean leave(long mostNanos) {
    if (hasLeft()) {
      return true;
    }
    long begun = System.nanoTime();
    int number = post(SessionLayout.COMMAND_LEAVE);
    while (!hasLeft() && !(memory.getInt(SessionLayout.POKER) == 0 && isStopped())) {
      int answered = memory.getInt(SessionLayout.ANSWERED);
      if (answered == number) {
        break;
      }
      memory.await(SessionLayout.ANSWERED, answered, LEAVE_LOOK_NANOS, scratch);
      if (System.nanoTime() - begun > mostNanos) {
        return false;
      }
    }
    while (!hasStanding() && Kernel.isThreadOf(pid, helper) && !isStopped()) {
      LockSupport.parkNanos(RELEASE_POLL_NANOS);
      if (System.nanoTime() - begun > mostNanos) {
        return false;
      }
    }
    return true;
  }

  /** Whether job control has stopped the helper, and with it the process. */
  boolean isStopped() {
    ProcStatus status = ProcStatus.read(helper);
    return status != null && status.state() == 'T';
  }

  private int post(int command) {
    int number = memory.getInt(SessionLayout.REQUEST) + 1;
    memory.setLong(SessionLayout.COMMAND, command);
    memory.setInt(SessionLayout.REQUEST, number);
    memory.wake(SessionLayout.REQUEST);
    int awake = memory.getInt(SessionLayout.POKER) == 0 ? 0 : poker();
    if (awake != 0) {
      Kernel.sendSignal(awake, awake, SIGCHLD);
    }
    return number;
  }
}
