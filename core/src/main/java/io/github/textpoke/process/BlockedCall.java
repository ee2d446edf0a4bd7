package io.github.textpoke.process;

import java.io.UncheckedIOException;
import org.jspecify.annotations.Nullable;

/**
 * Where a thread is, from /proc/TID/syscall, without stopping it: running (in user mode, or on its
 * way), or blocked in a system call.
 *
 * @param running whether it is running or runnable
 * @param number the system call it is blocked in, -1: none
 * @param arguments its six arguments
 * @param stackPointer absolute address of the top of its stack; 0 while it is running
 * @param instructionPointer absolute address where it will go on; 0 while it is running
 */
public record BlockedCall(
    boolean running, int number, long[] arguments, long stackPointer, long instructionPointer) {

  /**
   * How a blocked call takes an interruption by ptrace (measured, research notes in the README).
   */
  public enum Restart {
    /** The kernel restarts it; the program does not notice. */
    TRANSPARENT,
    /** It returns EINTR, but re-issuing it whole is right; we make the kernel do so. */
    REPAIRED,
    /** It returns EINTR; re-issuing it whole lengthens its timeout. */
    LENGTHENED,
    /** It must not be interrupted. */
    NEVER
  }

  /** Reads it, or null where there is no such thread (any more) or it may not be looked at. */
  public static @Nullable BlockedCall read(int tid) {
    String text;
    try {
      text = ProcStatus.readProc("/proc/" + tid + "/syscall");
    } catch (UncheckedIOException forbidden) {
      // Unlike the other files it opens for everybody, and answers EPERM when it is read.
      return null;
    }
    return text == null || text.isBlank() ? null : parse(text.strip());
  }

  static BlockedCall parse(String text) {
    if (text.equals("running")) {
      return new BlockedCall(true, -1, new long[6], 0, 0);
    }
    String[] words = text.split(" ");
    long[] arguments = new long[6];
    for (int i = 0; i < 6 && i + 3 < words.length; i++) {
      arguments[i] = hex(words[i + 1]);
    }
    // The two pointers come last, behind the arguments if there are any (proc_pid_syscall(5)).
    return new BlockedCall(
        false,
        Integer.parseInt(words[0]),
        arguments,
        hex(words[words.length - 2]),
        hex(words[words.length - 1]));
  }

  private static long hex(String word) {
    return Long.parseUnsignedLong(word.substring(2), 16);
  }

  /**
   * What an interruption would do. Closed list: a call that is not named here is {@link
   * Restart#NEVER} interrupted.
   *
   * @param descriptorName where the call's first argument is a file descriptor, what it is open on,
   *     as the link in /proc/PID/fd reads
   */
  Restart restart(@Nullable String descriptorName) {
    return switch (number) {
      case 7, // poll
          23, // select
          34, // pause
          35, // nanosleep
          61, // wait4
          70, // msgrcv
          130, // rt_sigsuspend
          202, // futex
          219, // restart_syscall
          230, // clock_nanosleep
          247, // waitid
          270, // pselect6
          271 -> // ppoll
          Restart.TRANSPARENT;
      case 0 -> // read: a socket may have a receive timeout, and then it returns EINTR
          isWithoutTimeout(descriptorName) ? Restart.TRANSPARENT : Restart.NEVER;
      case 232, // epoll_wait
          281 -> // epoll_pwait
          (int) arguments[3] < 0 ? Restart.REPAIRED : Restart.LENGTHENED;
      default -> mayBeIssuedAgain(number) ? Restart.LENGTHENED : Restart.NEVER;
    };
  }

  /**
   * Whether a call that an interruption ends with EINTR may be issued again as a whole: nothing is
   * lost, but a timeout begins anew.
   */
  public static boolean mayBeIssuedAgain(long number) {
    return switch ((int) number) {
      case 0, // read, of a socket with a timeout
          1, // write
          19, // readv
          20, // writev
          42, // connect
          43, // accept
          44, // sendto
          45, // recvfrom
          46, // sendmsg
          47, // recvmsg
          65, // semop
          128, // rt_sigtimedwait
          208, // io_getevents
          220, // semtimedop
          232, // epoll_wait
          281, // epoll_pwait
          288, // accept4
          299, // recvmmsg
          307, // sendmmsg
          426, // io_uring_enter
          441 -> // epoll_pwait2
          true;
      default -> false;
    };
  }

  /** As above, looking the descriptor up. */
  public Restart restart(int tid) {
    String target = null;
    if (number == 0) {
      try {
        target =
            java.nio.file.Files.readSymbolicLink(
                    java.nio.file.Path.of("/proc/" + tid + "/fd/" + (int) arguments[0]))
                .toString();
      } catch (java.io.IOException ended) {
        return Restart.NEVER;
      }
    }
    return restart(target);
  }

  private static boolean isWithoutTimeout(@Nullable String name) {
    return name != null
        && (name.startsWith("pipe:")
            || name.startsWith("/dev/")
            || name.equals("anon_inode:[eventfd]")
            || name.equals("anon_inode:inotify"));
  }

  /** In words, fit for a message. */
  public String describe() {
    if (running) {
      return "running";
    }
    return number < 0 ? "blocked outside of a system call" : "blocked in system call " + number;
  }

  /** Whether it makes a process or thread: a child may be on its way that has not reported yet. */
  public boolean makesChild() {
    return number == 56
        || number == 57
        || number == 58
        || number == 435; // clone, fork, vfork, clone3
  }
}
