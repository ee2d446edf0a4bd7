package io.github.textpoke.linux;

import io.github.textpoke.internal.Uninterruptibly;
import java.lang.ref.Reference;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * The few system calls that are neither ptrace nor memory. All return the result or the negated
 * errno.
 */
public final class Kernel {
  /** System call numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
  public static final int SYS_RT_SIGACTION = 13;

  /** System call number. */
  public static final int SYS_CLOSE = 3;

  /** System call number. */
  public static final int SYS_MMAP = 9;

  /** Changes what may be done with memory. */
  public static final int SYS_MPROTECT = 10;

  /** Sleeps for a time. */
  public static final int SYS_NANOSLEEP = 35;

  /** Runs another program. */
  public static final int SYS_EXECVE = 59;

  /** The same, of a file that is found from a descriptor. */
  public static final int SYS_EXECVEAT = 322;

  /** System call number. */
  public static final int SYS_MUNMAP = 11;

  /** System call number. */
  public static final int SYS_MADVISE = 28;

  /** System call number. */
  public static final int SYS_GETTID = 186;

  /** System call number. */
  public static final int SYS_GETPID = 39;

  /** System call number. */
  public static final int SYS_MEMFD_CREATE = 319;

  /** System call number. */
  public static final int SYS_CLOSE_RANGE = 436;

  /** System call number. */
  public static final int SYS_CLONE = 56;

  /** System call number. */
  public static final int SYS_EXIT = 60;

  /** System call number. */
  public static final int SYS_PAUSE = 34;

  /** System call number. */
  public static final int SYS_PRCTL = 157;

  /** System call number. */
  public static final int SYS_MEMBARRIER = 324;

  /** futex(2). */
  public static final int SYS_FUTEX = 202;

  private static final int SYS_GET_ROBUST_LIST = 274;
  private static final int SYS_SCHED_SETSCHEDULER = 144;
  private static final int SYS_SCHED_SETAFFINITY = 203;
  private static final int SYS_GETCPU = 309;
  private static final int FUTEX_WAIT = 0;
  private static final int FUTEX_WAKE = 1;
  private static final long NANOS_PER_SECOND = 1_000_000_000;
  private static final int SYS_TGKILL = 234;
  private static final int SYS_KILL = 62;
  private static final int SYS_GETXATTR = 191;
  private static final int SYS_KCMP = 312;
  private static final int SYS_CLOCK_GETTIME = 228;
  private static final int CLOCK_MONOTONIC = 1;
  private static final int KCMP_VM = 1;
  private static final int SCHED_OTHER = 0;
  private static final int SCHED_FIFO = 1;
  private static final int WNOHANG = 1;
  private static final int WALL = 0x40000000;

  private Kernel() {}

  private static long call(long number, long a, long b, long c, long d, long e) {
    return Libc.orErrno(Libc.FUNCTIONS.syscall(number, a, b, c, d, e, 0));
  }

  /** Loads all that is native, so that nothing is loaded while a patch is under way. */
  public static void load() {
    Uninterruptibly.onOwnThread(Kernel::gettid);
  }

  /** The calling OS thread's id. */
  public static int gettid() {
    return (int) call(SYS_GETTID, 0, 0, 0, 0, 0);
  }

  /** What CLOCK_MONOTONIC of our own time namespace says, in nanoseconds. */
  public static long monotonicNanos() {
    NativeBytes time = new NativeBytes(2 * Long.BYTES);
    call(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, time.address(0), 0, 0, 0);
    return time.getLong(0) * 1_000_000_000 + time.getLong(Long.BYTES);
  }

  /** Whether {@code tid} is a living thread of process {@code pid}. */
  public static boolean isThreadOf(int pid, int tid) {
    return call(SYS_TGKILL, pid, tid, 0, 0, 0) == 0;
  }

  /** Sends a signal to one thread. */
  public static long sendSignal(int pid, int tid, int signal) {
    return call(SYS_TGKILL, pid, tid, signal, 0, 0);
  }

  /** Sends a signal to a process. */
  public static long sendSignal(int pid, int signal) {
    return call(SYS_KILL, pid, signal, 0, 0, 0);
  }

  /** 0 where both share one memory, 1 to 3 where not, or the negated errno. */
  public static long compareMemory(int a, int b) {
    return call(SYS_KCMP, a, b, KCMP_VM, 0, 0);
  }

  /** Whether a file gives capabilities to who executes it. */
  public static boolean hasCapabilities(Path file) {
    NativeBytes name = string("security.capability");
    NativeBytes path = string(file.toString());
    boolean has = call(SYS_GETXATTR, path.address(0), name.address(0), 0, 0, 0) > 0;
    Reference.reachabilityFence(name);
    Reference.reachabilityFence(path);
    return has;
  }

  private static NativeBytes string(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    NativeBytes copy = new NativeBytes(bytes.length + 1);
    for (int i = 0; i < bytes.length; i++) {
      copy.put(i, bytes[i]);
    }
    return copy;
  }

  /**
   * Where a thread's list of robust mutexes begins, an address in its process; or the negated
   * errno.
   *
   * @param scratch at least 16 bytes
   */
  public static long robustList(int tid, NativeBytes scratch) {
    long result =
        call(SYS_GET_ROBUST_LIST, tid, scratch.address(0), scratch.address(Long.BYTES), 0, 0);
    return result < 0 ? result : scratch.getLong(0);
  }

  /**
   * Asks for real-time scheduling of a thread: first in, first out, lowest real-time priority.
   *
   * @param tid 0 for the calling thread
   * @param scratch at least 4 bytes
   */
  public static long setFifo(int tid, NativeBytes scratch) {
    return setScheduler(tid, SCHED_FIFO, 1, scratch);
  }

  /**
   * Takes real-time scheduling of a thread back.
   *
   * @param tid 0 for the calling thread
   * @param scratch at least 4 bytes
   */
  public static long setNormal(int tid, NativeBytes scratch) {
    return setScheduler(tid, SCHED_OTHER, 0, scratch);
  }

  private static long setScheduler(int tid, int policy, int priority, NativeBytes scratch) {
    scratch.put(0, (byte) priority);
    scratch.put(1, (byte) 0);
    scratch.put(2, (byte) 0);
    scratch.put(3, (byte) 0);
    return call(SYS_SCHED_SETSCHEDULER, tid, policy, scratch.address(0), 0, 0);
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

  /** Waits while the word at a native address holds {@code value}, or for a time. */
  static void futexWait(long address, int value, long nanos, NativeBytes scratch) {
    scratch.putLong(0, nanos / NANOS_PER_SECOND);
    scratch.putLong(Long.BYTES, nanos % NANOS_PER_SECOND);
    call(SYS_FUTEX, address, FUTEX_WAIT, value, scratch.address(0), 0);
  }

  /** Wakes all who wait at the word at a native address. */
  static void futexWake(long address) {
    call(SYS_FUTEX, address, FUTEX_WAKE, Integer.MAX_VALUE, 0, 0);
  }

  /** Maps memory without a file into this JVM; its address, or the negated errno. */
  static long map(long size, int protection, int flags) {
    return Libc.orErrno(Libc.FUNCTIONS.syscall(SYS_MMAP, 0, size, protection, flags, -1, 0));
  }

  /** Changes the protection of memory of this JVM. */
  static long protect(long address, long size, int protection) {
    return call(SYS_MPROTECT, address, size, protection, 0, 0);
  }

  /**
   * Waits for the end of a process that code of ours has made.
   *
   * @param scratch at least 4 bytes
   * @return its status as waitpid gives it, or the negated errno
   */
  public static int awaitProcess(int pid, NativeBytes scratch) {
    long result;
    do {
      result = Libc.orErrno(Libc.FUNCTIONS.waitpid(pid, scratch.address(0), WALL));
    } while (result == -Errno.EINTR);
    return result < 0 ? (int) result : (int) scratch.getLong(0);
  }
}
