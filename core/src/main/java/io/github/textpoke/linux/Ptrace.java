package io.github.textpoke.linux;

import jnr.ffi.Pointer;

/**
 * ptrace(2) and waitpid(2). Tracing belongs to the OS thread that seized: all calls on one instance
 * come from one platform thread. A method returns 0 or the negated errno, as the kernel does;
 * {@link Errno#ESRCH} means that the thread is gone or not stopped. Nothing is allocated per call.
 */
public final class Ptrace {
  /** Signal numbers. */
  public static final int SIGTRAP = 5;

  /** Signal number. */
  public static final int SIGSTOP = 19;

  /** Signal number. */
  public static final int SIGTSTP = 20;

  /** Signal number. */
  public static final int SIGTTIN = 21;

  /** Signal number. */
  public static final int SIGTTOU = 22;

  /** Stop by PTRACE_INTERRUPT, by a group stop, or a new thread's first stop. */
  public static final int EVENT_STOP = 128;

  /** A fork without CLONE_VM's special exit signal. */
  public static final int EVENT_FORK = 1;

  /** A vfork. */
  public static final int EVENT_VFORK = 2;

  /** A new thread. */
  public static final int EVENT_CLONE = 3;

  /** An execve has replaced the memory. */
  public static final int EVENT_EXEC = 4;

  /** si_code of an int3 on x86 (arch/x86/kernel/traps.c, do_int3_user). */
  public static final int SI_KERNEL = 0x80;

  private static final int CONT = 7;
  private static final int SINGLESTEP = 9;
  private static final int GETREGS = 12;
  private static final int SETREGS = 13;
  private static final int DETACH = 17;
  private static final int SETOPTIONS = 0x4200;
  private static final int GETEVENTMSG = 0x4201;
  private static final int GETSIGINFO = 0x4202;
  private static final int SEIZE = 0x4206;
  private static final int SYSCALL = 24;
  private static final int INTERRUPT = 0x4207;
  private static final int LISTEN = 0x4208;
  private static final int PEEKSIGINFO = 0x4209;
  private static final int GETSIGMASK = 0x420a;
  private static final int SETSIGMASK = 0x420b;
  private static final int SECCOMP_GET_FILTER = 0x420c;
  private static final int GET_SYSCALL_INFO = 0x420e;
  private static final int GET_RSEQ_CONFIGURATION = 0x420f;

  /** PTRACE_O_TRACESYSGOOD. */
  private static final int SYSCALL_STOPS_ARE_MARKED = 1;

  /** The mark of a stop at the entry or the exit of a system call. */
  private static final int SYSCALL_STOP = SIGTRAP | 0x80;

  /**
   * New threads and children are traced from their first instruction; exec is reported. Not
   * PTRACE_O_TRACEEXIT: wait reports an end too, and that would stop each thread that ends.
   */
  private static final int OPTIONS =
      SYSCALL_STOPS_ARE_MARKED
          | 1 << EVENT_FORK
          | 1 << EVENT_VFORK
          | 1 << EVENT_CLONE
          | 1 << EVENT_EXEC;

  /**
   * Only the thread itself, and its end with ours (PTRACE_O_EXITKILL): for a program that has not
   * begun.
   */
  private static final int START_OPTIONS = SYSCALL_STOPS_ARE_MARKED | 1 << EVENT_EXEC | 1 << 20;

  /** Only the thread itself, which runs on should ours end: for one that has a program. */
  private static final int NEXT_OPTIONS = SYSCALL_STOPS_ARE_MARKED | 1 << EVENT_EXEC;

  private static final int WNOHANG = 1;
  private static final int WALL = 0x40000000;
  private static final int WNOTHREAD = 0x20000000;

  /** Where things lie in the scratch memory. */
  private static final int STATUS = 0;

  private static final int WORD = 8;
  private static final int SIGINFO = 64;
  private static final int PEEK_ARGS = 256;
  private static final int PEEKED = 320;
  private static final int PEEK_COUNT = 8;
  private static final int SIGINFO_SIZE = 128;
  private static final int FILTER = 2048;
  private static final int MAX_FILTER = 4096 * 8;

  private final Libc.Functions libc = Libc.FUNCTIONS;
  private final Pointer scratch =
      Libc.RUNTIME.getMemoryManager().allocateDirect(FILTER + MAX_FILTER, true);
  private final long base = scratch.address();

  private int call(int request, int tid, long address, long data) {
    return (int) Libc.orErrno(libc.ptrace(request, tid, address, data));
  }

  /** Traces {@code tid} without stopping it. */
  public int seize(int tid) {
    return call(SEIZE, tid, 0, OPTIONS);
  }

  /**
   * Traces {@code tid} without stopping it, alone: what it makes is not traced. Should the calling
   * OS thread end, the kernel kills the process.
   */
  public int seizeBeforeStart(int tid) {
    return call(SEIZE, tid, 0, START_OPTIONS);
  }

  /**
   * Traces {@code tid} without stopping it, alone, for the next program that it executes. Should
   * the calling OS thread end, it runs on.
   */
  public int seizeBeforeNext(int tid) {
    return call(SEIZE, tid, 0, NEXT_OPTIONS);
  }

  /** From now on the kernel kills a stopped thread's process should the calling OS thread end. */
  public int endWithUs(int tid) {
    return call(SETOPTIONS, tid, 0, START_OPTIONS);
  }

  /** Asks {@code tid} to stop; {@link #await} reports it. */
  public int interrupt(int tid) {
    return call(INTERRUPT, tid, 0, 0);
  }

  /** Lets a stopped thread run, with {@code signal} delivered, 0 for none. */
  public int resume(int tid, int signal) {
    return call(CONT, tid, 0, signal);
  }

  /** Lets a stopped thread run one instruction, with {@code signal} delivered, 0 for none. */
  public int step(int tid, int signal) {
    return call(SINGLESTEP, tid, 0, signal);
  }

  /**
   * Lets a stopped thread run to the entry or exit of its next system call, with {@code signal}
   * delivered, 0 for none.
   */
  public int runToSystemCall(int tid, int signal) {
    return call(SYSCALL, tid, 0, signal);
  }

  /** Leaves a group-stopped thread stopped, but lets SIGCONT through. */
  public int listen(int tid) {
    return call(LISTEN, tid, 0, 0);
  }

  /** Stops tracing a stopped thread, and lets it run. */
  public int detach(int tid) {
    return call(DETACH, tid, 0, 0);
  }

  /** Reads the registers of a stopped thread. */
  public int getRegisters(int tid, Registers registers) {
    return call(GETREGS, tid, 0, registers.address());
  }

  /** Writes the registers of a stopped thread. */
  public int setRegisters(int tid, Registers registers) {
    return call(SETREGS, tid, 0, registers.address());
  }

  /** Reads the blocked signals of a stopped thread into {@link #word}. */
  public int getSignalMask(int tid) {
    return call(GETSIGMASK, tid, 8, base + WORD);
  }

  /** Sets the blocked signals of a stopped thread; bit n-1 is signal n. */
  public int setSignalMask(int tid, long mask) {
    scratch.putLong(WORD, mask);
    return call(SETSIGMASK, tid, 8, base + WORD);
  }

  /** Whether a system call stop is that of the entry. */
  public boolean isEntry(int tid) {
    // struct ptrace_syscall_info, whose first byte is the kind: 1 is the entry.
    return call(GET_SYSCALL_INFO, tid, SIGINFO_SIZE, base + SIGINFO) > 0
        && scratch.getByte(SIGINFO) == 1;
  }

  /** Reads the message of an event stop, a new thread's id, into {@link #word}. */
  public int getEventMessage(int tid) {
    return call(GETEVENTMSG, tid, 0, base + WORD);
  }

  /** Result of the last call that says so. */
  public long word() {
    return scratch.getLong(WORD);
  }

  /** For PEEKSIGINFO: signals for the thread; for its process. */
  private static final int OWN_QUEUE = 0;

  private static final int SHARED_QUEUE = 1;

  /** {@link #signalCode} of a signal that was sent to one thread. */
  public static final int SI_TKILL = -6;

  /** Answer of {@link #signalCode} where the thread is gone. */
  public static final int NO_SIGNAL = Integer.MIN_VALUE;

  /**
   * The si_code of the signal that {@code tid} is about to get: positive where the kernel has made
   * it, else somebody has sent it; {@link #NO_SIGNAL} where the thread is gone.
   */
  public int signalCode(int tid) {
    return call(GETSIGINFO, tid, 0, base + SIGINFO) < 0 ? NO_SIGNAL : scratch.getInt(SIGINFO + 8);
  }

  /**
   * Whether the SIGTRAP of a breakpoint is queued for a stopped thread. One that was sent by
   * somebody, and that the thread may block for ever, is another.
   */
  public boolean isTrapQueued(int tid) {
    return isTrapQueued(tid, OWN_QUEUE, true);
  }

  /** Whether any SIGTRAP is queued for a stopped thread, or for its process. */
  public boolean isAnyTrapQueued(int tid) {
    return isTrapQueued(tid, OWN_QUEUE, false) || isTrapQueued(tid, SHARED_QUEUE, false);
  }

  private boolean isTrapQueued(int tid, int queue, boolean ofBreakpoint) {
    for (long from = 0; ; ) {
      scratch.putLong(PEEK_ARGS, from);
      scratch.putInt(PEEK_ARGS + 8, queue);
      scratch.putInt(PEEK_ARGS + 12, PEEK_COUNT);
      int count = call(PEEKSIGINFO, tid, base + PEEK_ARGS, base + PEEKED);
      if (count <= 0) {
        return false;
      }
      for (int i = 0; i < count; i++) {
        int info = PEEKED + i * SIGINFO_SIZE;
        if (scratch.getInt(info) == SIGTRAP
            && (!ofBreakpoint || scratch.getInt(info + 8) == SI_KERNEL)) {
          return true;
        }
      }
      from += count;
    }
  }

  /**
   * Address of the thread's struct rseq in {@link #word}, 0 where it has none.
   *
   * @return 0, or the negated errno: kernels before 5.13 don't know the question
   */
  public int getRseq(int tid) {
    int result = call(GET_RSEQ_CONFIGURATION, tid, 24, base + SIGINFO);
    scratch.putLong(WORD, result < 0 ? 0 : scratch.getLong(SIGINFO));
    return Math.min(result, 0);
  }

  /**
   * The {@code index}-th seccomp filter of a stopped thread, newest first, as classic BPF.
   *
   * @return the program, one long per instruction; empty where there is no such filter; null where
   *     the kernel does not tell us
   */
  public long @org.jspecify.annotations.Nullable [] seccompFilter(int tid, int index) {
    int count = call(SECCOMP_GET_FILTER, tid, index, base + FILTER);
    if (count == -Errno.ENOENT) {
      return new long[0];
    }
    if (count < 0) {
      return null;
    }
    long[] program = new long[count];
    for (int i = 0; i < count; i++) {
      program[i] = scratch.getLong(FILTER + i * 8L);
    }
    return program;
  }

  /**
   * Waits until some traced thread stops or ends.
   *
   * @param block whether to wait; else 0 is returned at once where nothing has happened
   * @return the thread's id, 0, or the negated errno; {@link #status} tells what happened
   */
  public int await(boolean block) {
    for (; ; ) {
      int tid =
          (int)
              Libc.orErrno(
                  libc.waitpid(-1, base + STATUS, WALL | WNOTHREAD | (block ? 0 : WNOHANG)));
      if (tid != -Errno.EINTR) {
        return tid;
      }
    }
  }

  /**
   * Waits until a traced thread stops or ends, and takes nothing else.
   *
   * @return its id, or the negated errno; {@link #status} tells what happened
   */
  public int await(int tid) {
    for (; ; ) {
      int who = (int) Libc.orErrno(libc.waitpid(tid, base + STATUS, WALL | WNOTHREAD));
      if (who != -Errno.EINTR) {
        return who;
      }
    }
  }

  /** The status of the last {@link #await}. */
  public int status() {
    return scratch.getInt(STATUS);
  }

  /** Whether {@code status} is a stop; else the thread has ended. */
  public static boolean isStop(int status) {
    return (status & 0xff) == 0x7f;
  }

  /** The signal of a stop. */
  public static int stopSignal(int status) {
    return status >> 8 & 0xff;
  }

  /** The event of a stop, 0 where it is the delivery of a signal. */
  public static int event(int status) {
    return status >> 16;
  }

  /** Whether {@code status} is a group stop: job control. */
  public static boolean isGroupStop(int status) {
    if (event(status) != EVENT_STOP) {
      return false;
    }
    return switch (stopSignal(status)) {
      case SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU -> true;
      default -> false;
    };
  }

  /** Whether {@code status} is the stop in which a signal is about to be delivered. */
  public static boolean isSignalDelivery(int status) {
    return isStop(status) && event(status) == 0 && stopSignal(status) != SYSCALL_STOP;
  }

  /** Whether {@code status} is the stop at the entry or exit of a system call. */
  public static boolean isSystemCallStop(int status) {
    return isStop(status) && event(status) == 0 && stopSignal(status) == SYSCALL_STOP;
  }
}
