package io.github.textpoke.apply;

import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.ProcStatus;

/**
 * Our thread of the target: it runs system calls at an existing {@code syscall} instruction, one
 * single step each, and no code of ours. It uses no stack and no memory. A core sync must come from
 * a thread that shares the target's memory: membarrier names no other process
 * (kernel/sched/membarrier.c).
 *
 * <p>Between two calls its registers are set so that it ends itself if the tracer dies.
 */
final class Helper {
  static final int MEMBARRIER_SYNC_CORE = 1 << 5;
  static final int MEMBARRIER_REGISTER_SYNC_CORE = 1 << 6;

  /**
   * A single step's SIGTRAP is forced on the thread: blocked, it would reset the handler of all.
   */
  static final long ALL_BUT_SIGTRAP = ~ProcStatus.SIGTRAP_BIT;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final int tid;
  private final boolean mayMap;
  private final Injection injection;
  private final long syscall;

  private final boolean isLent;

  /** As it goes on when it is given back. */
  private final Registers lent = new Registers();

  private final Registers request = new Registers();
  private final Registers sync = new Registers();

  /**
   * @param tid a stopped thread
   * @param injection how it runs system calls
   * @param mayMap whether it may map files of ours
   */
  Helper(Tracer tracer, int tid, Injection injection, boolean mayMap) {
    this(tracer, tid, injection, false, mayMap);
    // No signal of the program's may run on a stack that it shares.
    ptrace.setSignalMask(tid, ALL_BUT_SIGTRAP);
    poise();
  }

  private Helper(Tracer tracer, int tid, Injection injection, boolean isLent, boolean mayMap) {
    this.mayMap = mayMap;
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.tid = tid;
    this.injection = injection;
    this.isLent = isLent;
    this.syscall = injection.instruction();
    ptrace.getRegisters(tid, request);
    sync.copyFrom(request);
    sync.setSystemCall(syscall, Kernel.SYS_MEMBARRIER, MEMBARRIER_SYNC_CORE, 0, 0, 0, 0, 0);
  }

  /**
   * Stops the poker's helper and uses it. It is traced already, blocks all signals, and runs calls
   * from stop to stop: a single step leaves a signal that would kill the target if this JVM is
   * killed before it has seen that.
   */
  static Helper lent(Tracer tracer, LentHelper lent) {
    int tid = lent.tid();
    int status;
    do {
      tracer.ptrace.interrupt(tid);
      status = tracer.awaitStopOrEnd(tid);
      if (!Ptrace.isStop(status)) {
        throw tracer.awaitEnd();
      }
      if (Ptrace.event(status) != Ptrace.EVENT_STOP) {
        tracer.ptrace.resume(tid, sentSignal(status));
      }
    } while (Ptrace.event(status) != Ptrace.EVENT_STOP);
    Helper helper = new Helper(tracer, tid, new Injection(tracer, lent.call(), true), true, true);
    helper.rest();
    return helper;
  }

  /** It is stopped where it is to go on: in its wait, which it is to try again, or elsewhere. */
  private void rest() {
    ptrace.getRegisters(tid, lent);
    // What the kernel would try again by itself if we were not there.
    if (-lent.rax() >= Errno.ERESTARTSYS && -lent.rax() <= Errno.ERESTART_RESTARTBLOCK) {
      lent.setRax(-Errno.EINTR);
    }
    lent.leaveSystemCall();
    ptrace.setRegisters(tid, lent);
  }

  int tid() {
    return tid;
  }

  /** The address of the {@code syscall} instruction that it uses. */
  long instruction() {
    return syscall;
  }

  /** Whether it may map files of ours: a seccomp filter may forbid it. */
  boolean mayMap() {
    return mayMap;
  }

  /** Makes core syncs possible; once per memory it waits some milliseconds for the kernel (RCU). */
  long register() {
    long result = sync();
    if (result != -Errno.EPERM) {
      return result;
    }
    result = call(Kernel.SYS_MEMBARRIER, MEMBARRIER_REGISTER_SYNC_CORE, 0, 0, 0, 0, 0);
    return result < 0 ? result : sync();
  }

  /**
   * Core sync. When it returns 0, every core that runs the target has executed a serializing
   * instruction. Allocates nothing.
   *
   * @return 0, or the negated errno
   */
  long sync() {
    return run(sync);
  }

  /** Runs one system call; returns its result or the negated errno. */
  long call(long number, long a, long b, long c, long d, long e, long f) {
    request.setSystemCall(syscall, number, a, b, c, d, e, f);
    return run(request);
  }

  /** Between two calls it is poised: should this JVM be killed, it does not run on behind one. */
  private long run(Registers registers) {
    long result = injection.run(tid, registers);
    poise();
    return result;
  }

  /**
   * From here on it ends itself if the tracer dies: it stands at an exit. Its stop was waited for,
   * so that the kernel delivers no signal with it.
   */
  private void poise() {
    if (isLent) {
      ptrace.setRegisters(tid, lent);
      return;
    }
    request.setSystemCall(syscall, Kernel.SYS_EXIT, 0, 0, 0, 0, 0, 0);
    ptrace.setRegisters(tid, request);
  }

  /** Takes part in a group stop, which is not complete while one thread of the process does not. */
  void joinGroupStop() {
    poise();
    int signal = 0;
    int status;
    do {
      ptrace.interrupt(tid);
      ptrace.resume(tid, signal);
      status = tracer.awaitStopOrEnd(tid);
      if (!Ptrace.isStop(status)) {
        return;
      }
      signal = sentSignal(status);
    } while (Ptrace.event(status) != Ptrace.EVENT_STOP);
    if (isLent) {
      // It has gone on meanwhile.
      rest();
    }
  }

  /** Ends it, and waits for its end; one that was lent is given back. */
  void exit() {
    tracer.setHelper(0);
    poise();
    if (isLent) {
      ptrace.detach(tid);
      return;
    }
    int signal = 0;
    while (ptrace.resume(tid, signal) == 0) {
      int status = tracer.awaitStopOrEnd(tid);
      if (!Ptrace.isStop(status)) {
        return;
      }
      signal = sentSignal(status);
    }
  }

  /**
   * A signal that somebody has sent to the process and that can't be blocked: it goes on its way.
   */
  static int sentSignal(int status) {
    return Ptrace.isSignalDelivery(status) && Ptrace.stopSignal(status) != Ptrace.SIGTRAP
        ? Ptrace.stopSignal(status)
        : 0;
  }
}
