package io.github.textpoke.linux;

/**
 * The few system calls that are neither ptrace nor memory. All return the result or the negated
 * errno.
 */
public final class Kernel {
  /** System call numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
  public static final int SYS_RT_SIGACTION = 13;

  /** System call number. */
  public static final int SYS_MMAP = 9;

  /** System call number. */
  public static final int SYS_MUNMAP = 11;

  /** System call number. */
  public static final int SYS_CLONE = 56;

  /** System call number. */
  public static final int SYS_EXIT = 60;

  /** System call number. */
  public static final int SYS_MEMBARRIER = 324;

  private static final int SYS_SCHED_SETSCHEDULER = 144;
  private static final int SYS_GETTID = 186;
  private static final int SYS_SCHED_SETAFFINITY = 203;
  private static final int SYS_GETCPU = 309;
  private static final int SYS_TGKILL = 234;
  private static final int SYS_KCMP = 312;
  private static final int KCMP_VM = 1;
  private static final int SCHED_FIFO = 1;
  private static final int WNOHANG = 1;
  private static final int WALL = 0x40000000;

  private Kernel() {}

  private static long call(long number, long a, long b, long c, long d, long e) {
    return Libc.orErrno(Libc.FUNCTIONS.syscall(number, a, b, c, d, e, 0));
  }

  /** Loads all that is native, so that nothing is loaded while a patch is under way. */
  public static void load() {
    call(SYS_GETTID, 0, 0, 0, 0, 0);
  }

  /** The calling OS thread's id. */
  public static int gettid() {
    return (int) call(SYS_GETTID, 0, 0, 0, 0, 0);
  }

  /** Whether {@code tid} is a living thread of process {@code pid}. */
  public static boolean isThreadOf(int pid, int tid) {
    return call(SYS_TGKILL, pid, tid, 0, 0, 0) == 0;
  }

  /** Sends a signal to one thread. */
  public static long sendSignal(int pid, int tid, int signal) {
    return call(SYS_TGKILL, pid, tid, signal, 0, 0);
  }

  /** 0 where both share one memory, 1 to 3 where not, or the negated errno. */
  public static long compareMemory(int a, int b) {
    return call(SYS_KCMP, a, b, KCMP_VM, 0, 0);
  }

  /**
   * Asks for real-time scheduling of a thread: first in, first out, lowest real-time priority.
   *
   * @param tid 0 for the calling thread
   * @param scratch at least 4 bytes
   */
  public static long setFifo(int tid, NativeBytes scratch) {
    scratch.put(0, (byte) 1);
    scratch.put(1, (byte) 0);
    scratch.put(2, (byte) 0);
    scratch.put(3, (byte) 0);
    return call(SYS_SCHED_SETSCHEDULER, tid, SCHED_FIFO, scratch.address(0), 0, 0);
  }

  /** Bytes that {@link #setAffinity} needs: 1024 processors, as libc's cpu_set_t. */
  public static final int AFFINITY_SIZE = 128;

  /**
   * The processor that the calling thread runs on.
   *
   * @param scratch at least 4 bytes
   */
  public static int currentProcessor(NativeBytes scratch) {
    call(SYS_GETCPU, scratch.address(0), 0, 0, 0, 0);
    return (int) scratch.getLong(0);
  }

  /**
   * Lets a thread run on one processor only.
   *
   * @param tid 0 for the calling thread
   * @param scratch at least {@link #AFFINITY_SIZE} bytes
   */
  public static long setAffinity(int tid, int processor, NativeBytes scratch) {
    for (int i = 0; i < AFFINITY_SIZE; i++) {
      scratch.put(i, (byte) (i == processor / 8 ? 1 << processor % 8 : 0));
    }
    return call(SYS_SCHED_SETAFFINITY, tid, AFFINITY_SIZE, scratch.address(0), 0, 0);
  }

  /**
   * Reaps a thread that has ended and that a sibling of the calling thread traces.
   *
   * @param scratch at least 4 bytes
   */
  public static long reap(int tid, NativeBytes scratch) {
    return Libc.orErrno(Libc.FUNCTIONS.waitpid(tid, scratch.address(0), WNOHANG | WALL));
  }
}
