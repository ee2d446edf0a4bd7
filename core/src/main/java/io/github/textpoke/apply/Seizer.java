package io.github.textpoke.apply;

import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SignalStateException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcStatus;

/** Seizes all threads that may run the target's code, without stopping one. */
final class Seizer {
  private static final long STUCK_NANOS = 50_000_000;

  /** How often the kernel must refuse a thread that nobody traces. */
  private static final int REFUSALS = 10;

  private static final long YOUNG_NANOS = 20_000_000;
  private static final int STRAGGLER_ATTEMPTS = 10;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final Tracees tracees;
  private final int pid;
  private final int ourPid = (int) ProcessHandle.current().pid();
  private final int ourTid = Kernel.gettid();

  /** Threads of the kernel's that run in the process's name, and never its code. */
  private int untraceable;

  /** When the seizing of one thread has begun that is not over; 0: none is under way. */
  private volatile long seizingSince;

  /** When the threads were seized. */
  private long seizedAt;

  Seizer(Tracer tracer) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.tracees = tracer.tracees;
    this.pid = tracer.pid();
  }

  /**
   * Seizes every thread of the target and of processes that share its memory, until a pass finds
   * none new: threads are born meanwhile, those of seized threads are traced from birth.
   */
  void seizeAll() {
    while (seizeThreadsOf(pid, 0)) {
      tracer.handlePending();
    }
    seizeSharers();
    if (tracees.size() == 0) {
      tracer.markGone();
    }
    tracer.checkAlive();
    seizedAt = System.nanoTime();
  }

  private void seizeSharers() {
    long comparable = Kernel.compareMemory(pid, pid);
    if (comparable != 0 && comparable != -Errno.ESRCH) {
      throw new UnsupportedTargetException(
          "kcmp(2) of process " + pid + " is not allowed here: errno " + -comparable,
          "allow kcmp in the seccomp filter of this JVM, or give it CAP_SYS_PTRACE");
    }
    boolean found = true;
    while (found) {
      found = false;
      for (int other : ProcStatus.processes()) {
        if (other != pid && other != ourPid && Kernel.compareMemory(pid, other) == 0) {
          found |= seizeThreadsOf(other, Tracees.SHARER);
          tracer.handlePending();
        }
      }
    }
  }

  /**
   * A thread that was in the middle of cloning another when it was seized has made one that is not
   * traced, and that no list has shown yet (kernel/fork.c, kernel_clone decides before it copies).
   * So in a young session the threads are counted before each window.
   */
  void seizeStragglers() {
    if (System.nanoTime() - seizedAt > YOUNG_NANOS) {
      return;
    }
    for (int attempt = 0; attempt < STRAGGLER_ATTEMPTS; attempt++) {
      boolean found = seizeThreadsOf(pid, 0);
      tracer.handlePending();
      tracer.checkAlive();
      ProcStatus status = ProcStatus.read(pid);
      int own = tracees.size() - tracees.count(Tracees.SHARER) + (tracer.helper() == 0 ? 0 : 1);
      if (!found && (status == null || status.threads() <= own + untraceable)) {
        return;
      }
    }
  }

  private boolean seizeThreadsOf(int process, int flag) {
    boolean foundNew = false;
    if (process == pid) {
      untraceable = 0;
    }
    for (int tid : ProcStatus.threads(process)) {
      // A thread that has died is reaped by us alone, and an exec that waits for that holds what
      // the next line wants.
      tracer.handlePending();
      if (tid != tracer.helper() && !tracees.contains(tid)) {
        foundNew |= seize(tid, flag);
      }
    }
    return foundNew;
  }

  /** Seizes one thread of the target; false where it can't be. */
  boolean seizeThread(int tid) {
    return seize(tid, 0);
  }

  private boolean seize(int tid, int flag) {
    for (int refusals = 0; ; ) {
      seizingSince = System.nanoTime();
      int error = ptrace.seize(tid);
      seizingSince = 0;
      if (error == 0) {
        noteSignalState(tid, flag);
        return true;
      } else if (error == -Errno.ESRCH) {
        return false;
      } else if (error != -Errno.EPERM) {
        throw new SystemCallException("ptrace(SEIZE, " + tid + ")", -error, Outcome.UNTOUCHED);
      }
      ProcStatus status = ProcStatus.read(tid);
      // Born of a seized thread: traced by us already, and its first stop is on its way.
      if (status == null || status.isDead() || isOurs(status.tracer())) {
        return false;
      }
      // One that is not traced may have been so until now, by another patcher.
      refusals++;
      if (status.tracer() != 0 || refusals == REFUSALS) {
        refuseSeizing(tid, status);
        return false;
      }
    }
  }

  /**
   * For another thread of ours, when this one seems stuck. An execve waits until we have reaped the
   * threads that it ends, and holds the lock that seizing its caller waits for (kernel/ptrace.c,
   * ptrace_attach: cred_guard_mutex). So the dead are reaped from outside, and the execve goes on.
   */
  void unblockSeizing() {
    long since = seizingSince;
    if (since == 0 || System.nanoTime() - since < STUCK_NANOS) {
      return;
    }
    NativeBytes scratch = new NativeBytes(Integer.BYTES);
    for (int tid : ProcStatus.threads(pid)) {
      ProcStatus status = ProcStatus.read(tid);
      if (status != null && status.isDead() && isOurs(status.tracer())) {
        Kernel.reap(tid, scratch);
      }
    }
  }

  private boolean isOurs(int tracer) {
    return tracer == ourTid || tracer == ourPid;
  }

  private void refuseSeizing(int tid, ProcStatus status) {
    if (status.tracer() != 0) {
      throw Preflight.alreadyTraced(pid, status.tracer());
    }
    // Threads of io_uring and vhost never run the program's code, and refuse ptrace.
    if (!status.name().startsWith("iou-") && !status.name().startsWith("vhost-")) {
      throw new AccessDeniedException(
          "tracing thread " + tid + " of process " + pid + ": the kernel says EPERM",
          AccessDeniedException.Missing.CAP_SYS_PTRACE,
          "run as root or with CAP_SYS_PTRACE");
    }
    untraceable++;
  }

  private void noteSignalState(int tid, int flag) {
    int index = tracees.put(tid, flag);
    ProcStatus status = ProcStatus.read(tid);
    if (status == null) {
      return;
    }
    // One that is not blocked is taken at once, before the thread can run a breakpoint of ours.
    if ((status.pending() & status.blocked() & ProcStatus.SIGTRAP_BIT) != 0) {
      throw new SignalStateException(
          "thread "
              + tid
              + " of process "
              + pid
              + " has a SIGTRAP pending: it could not be told from ours",
          "try again when the program has taken it");
    }
    tracees.setMask(index, status.blocked());
  }

  /** Looks again at new threads: while they are created they block all signals, for a moment. */
  void refreshNewThreads() {
    for (int i = 0; i < tracees.size(); i++) {
      if (tracees.has(i, Tracees.NEWBORN)) {
        tracees.clear(i, Tracees.NEWBORN);
        ProcStatus status = ProcStatus.read(tracees.tid(i));
        if (status != null) {
          tracees.setMask(i, status.blocked());
        }
      }
    }
  }
}
