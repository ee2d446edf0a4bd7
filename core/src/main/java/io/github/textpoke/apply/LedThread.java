package io.github.textpoke.apply;

import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.SeccompFilter;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntUnaryOperator;

/**
 * A thread that is led from stop to stop by ptrace, without a signal: by its system calls. All
 * calls come from one OS thread.
 */
abstract class LedThread {
  private static final long LOOK_NANOS = 200_000;

  /** Its id, which is that of its process from its execve on. */
  int pid;

  final Ptrace ptrace = new Ptrace();

  /** What the thread goes on with. */
  final Registers saved = new Registers();

  final Registers scratch = new Registers();

  /** A {@code syscall} instruction of the program's. */
  long gadget;

  boolean traced;
  boolean ended;
  private final Duration patience;

  /**
   * @param patience how long another tracer is waited for
   */
  LedThread(int pid, Duration patience) {
    this.pid = pid;
    this.patience = patience;
  }

  /** Whether it has ended. */
  final boolean hasEnded() {
    return ended;
  }

  /**
   * Traces it, without stopping it.
   *
   * @param how the request
   * @return 0 where it is traced or has ended; the negated errno where another tracer does not
   *     leave, or it is not to be traced
   */
  final int seize(IntUnaryOperator how) {
    long deadline = System.nanoTime() + patience.toNanos();
    for (; ; ) {
      int error = how.applyAsInt(pid);
      if (error == 0) {
        traced = true;
        return 0;
      }
      if (error == -Errno.ESRCH) {
        ended = true;
        return 0;
      }
      if (System.nanoTime() - deadline > 0) {
        return error;
      }
      // No event tells that another tracer has left.
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  /** Asks it to stop, and waits until it has. */
  final void interrupt() {
    ptrace.interrupt(pid);
    int status = next();
    while (!ended && Ptrace.event(status) != Ptrace.EVENT_STOP) {
      // That stop has taken our request back.
      ptrace.interrupt(pid);
      goOn(status, false);
      status = next();
    }
  }

  /** Waits for its next stop, or its end. */
  final int next() {
    if (await() < 0) {
      ended = true;
      return 0;
    }
    int status = ptrace.status();
    if (!Ptrace.isStop(status)) {
      ended = true;
      traced = false;
    }
    return status;
  }

  /**
   * Waits for what it reports.
   *
   * @return its id, or the negated errno
   */
  int await() {
    return ptrace.await(pid);
  }

  /** Lets it run on from a stop that is none of ours. */
  final void goOn(int status, boolean toSystemCall) {
    int signal = Ptrace.isSignalDelivery(status) ? Ptrace.stopSignal(status) : 0;
    if (Ptrace.isGroupStop(status)) {
      // SIGCONT makes it report again.
      ptrace.listen(pid);
    } else if (toSystemCall) {
      ptrace.runToSystemCall(pid, signal);
    } else {
      ptrace.resume(pid, signal);
    }
  }

  /**
   * From where execve is reported to its end, before the program's first instruction: only then the
   * registers stay as they are set.
   *
   * @param calls what the thread is to call for us, with the arguments
   * @param who whose filter is the program's too
   */
  final void finishExec(Map<Integer, long[]> calls, String who) {
    finishCall();
    if (ended) {
      return;
    }
    ptrace.getRegisters(pid, saved);
    saved.setOrigRax(-1);
    if (!saved.is64Bit()) {
      throw new UnsupportedTargetException(
          "the program's code is of 32 bits", "only 64-bit programs are patched");
    }
    checkMayCall(calls, who);
    gadget = Preflight.of(pid).syscallInstruction();
  }

  /** A seccomp filter is the next program's too, and may kill for a call, or refuse it. */
  private void checkMayCall(Map<Integer, long[]> calls, String who) {
    ProcStatus status = ProcStatus.read(pid);
    for (int i = 0; status != null && status.seccomp() != 0; i++) {
      long[] program = ptrace.seccompFilter(pid, i);
      if (program == null) {
        throw new SeccompException(
            who + " is under a seccomp filter that can't be read, and so is the program",
            "run with CAP_SYS_ADMIN, or outside of the filter");
      }
      if (program.length == 0) {
        return;
      }
      SeccompFilter filter = new SeccompFilter(program);
      calls.forEach(
          (call, arguments) -> {
            if (!filter.allows(call, arguments)) {
              throw new SeccompException(
                  "the seccomp filter of "
                      + who
                      + ", which is the program's too, forbids call "
                      + call,
                  "allow calls " + calls.keySet() + " in it");
            }
          });
    }
  }

  /** From one stop of a system call to the next: from its entry to its exit. */
  final void finishCall() {
    int signal = 0;
    int status;
    do {
      ptrace.runToSystemCall(pid, signal);
      status = next();
      signal = Ptrace.isSignalDelivery(status) ? Ptrace.stopSignal(status) : 0;
    } while (!ended && !Ptrace.isSystemCallStop(status));
  }

  /**
   * Has it do a system call, with its registers as they come; they are to be set behind.
   *
   * @return what it returns; 0 where the thread has ended
   */
  final long call(int number, long a, long b, long c, long d, long e, long f) {
    scratch.copyFrom(saved);
    scratch.setSystemCall(gadget, number, a, b, c, d, e, f);
    ptrace.setRegisters(pid, scratch);
    finishCall();
    finishCall();
    if (ended) {
      return 0;
    }
    ptrace.getRegisters(pid, scratch);
    return scratch.rax();
  }

  /** Lets it run, untraced. Of one that was killed meanwhile, its parent hears only then. */
  final void detach() {
    if (ptrace.detach(pid) == -Errno.ESRCH) {
      while (traced && !ended) {
        next();
      }
    }
    traced = false;
  }
}
