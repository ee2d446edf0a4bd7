package io.github.textpoke.apply;

import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;

/**
 * Runs one system call in a stopped thread, at an existing {@code syscall} instruction.
 *
 * <p>Usually by a single step. But its trap is forced on the thread, and where the process ignores
 * SIGTRAP the kernel then resets the handler to the default (kernel/signal.c,
 * force_sig_info_to_task): there the thread runs from stop to stop of its system call instead,
 * which sends no signal and takes twice as long.
 */
final class Injection {
  /** Bytes of the {@code syscall} instruction. */
  private static final int SYSCALL_LENGTH = 2;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final long syscall;

  /** Whether it is always from stop to stop, so that no signal can be left if this JVM dies. */
  private final boolean isQuiet;

  private final Registers answer = new Registers();

  /** The thread that was born of the call; 0: none. */
  private int born;

  private boolean groupStopped;

  /** Code of a SIGTRAP that was sent to the borrowed thread or its process. */
  private int sentCode = Ptrace.NO_SIGNAL;

  /**
   * @param syscall address of a {@code syscall} instruction
   */
  Injection(Tracer tracer, long syscall) {
    this(tracer, syscall, false);
  }

  /**
   * @param syscall address of a {@code syscall} instruction
   * @param isQuiet whether to send the thread no signal, which takes twice as long
   */
  Injection(Tracer tracer, long syscall, boolean isQuiet) {
    this.isQuiet = isQuiet;
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.syscall = syscall;
  }

  /** Whether job control has stopped the process meanwhile. */
  boolean groupStopped() {
    return groupStopped;
  }

  long instruction() {
    return syscall;
  }

  int born() {
    return born;
  }

  /**
   * Runs the system call that {@code registers} set up. The thread is stopped behind it, and its
   * registers are those of the call.
   *
   * @return the result, or the negated errno
   */
  long run(int tid, Registers registers) {
    boolean quietly = isQuiet || tracer.sigtrap().isIgnored();
    born = 0;
    groupStopped = false;
    ptrace.setRegisters(tid, registers);
    int signal = 0;
    for (; ; ) {
      if ((quietly ? ptrace.runToSystemCall(tid, signal) : ptrace.step(tid, signal)) < 0) {
        throw tracer.awaitEnd();
      }
      int status = tracer.awaitStopOrEnd(tid);
      if (!Ptrace.isStop(status)) {
        throw tracer.awaitEnd();
      }
      signal = 0;
      if (Ptrace.isSignalDelivery(status)
          && Ptrace.stopSignal(status) == Ptrace.SIGTRAP
          && isSent(ptrace.signalCode(tid))) {
        // Sent by somebody, and not the end of our step.
        noteSent(tid);
      } else if (Ptrace.isSignalDelivery(status) && Ptrace.stopSignal(status) != Ptrace.SIGTRAP) {
        // The thread blocks what can be blocked: SIGSTOP is left, and it is for the whole process.
        signal = Ptrace.stopSignal(status);
      } else if (Ptrace.event(status) == Ptrace.EVENT_CLONE) {
        ptrace.getEventMessage(tid);
        born = (int) ptrace.word();
      } else if (Ptrace.isGroupStop(status)) {
        groupStopped = true;
      } else if (quietly ? Ptrace.isSystemCallStop(status) : Ptrace.isSignalDelivery(status)) {
        if (ptrace.getRegisters(tid, answer) < 0) {
          throw tracer.awaitEnd();
        }
        // At the entry stop the instruction pointer is behind the instruction, too.
        if (answer.rip() == syscall + SYSCALL_LENGTH && !(quietly && ptrace.isEntry(tid))) {
          return answer.rax();
        }
      }
    }
  }

  private void noteSent(int tid) {
    if (tid == tracer.helper()) {
      // To the process: for a thread of the program's.
      Kernel.sendSignal(tracer.pid(), tracer.pid(), Ptrace.SIGTRAP);
    } else {
      sentCode = ptrace.signalCode(tid);
    }
  }

  /**
   * Sends a SIGTRAP again that came to the borrowed thread because it does not block it for us; it
   * blocks now what it has blocked before.
   */
  void sendAgain(int tid) {
    if (sentCode == Ptrace.SI_TKILL) {
      Kernel.sendSignal(tracer.pid(), tid, Ptrace.SIGTRAP);
    } else if (sentCode != Ptrace.NO_SIGNAL) {
      Kernel.sendSignal(tracer.pid(), Ptrace.SIGTRAP);
    }
    sentCode = Ptrace.NO_SIGNAL;
  }

  private static boolean isSent(int signalCode) {
    return signalCode <= 0 && signalCode != Ptrace.NO_SIGNAL;
  }
}
