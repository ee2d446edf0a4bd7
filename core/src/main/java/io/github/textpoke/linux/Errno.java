package io.github.textpoke.linux;

/** The error numbers of x86-64 Linux that are told apart here. */
public final class Errno {
  /** Operation not permitted. */
  public static final int EPERM = 1;

  /** No such file. */
  public static final int ENOENT = 2;

  /** No such process or thread, or it is not stopped. */
  public static final int ESRCH = 3;

  /** Interrupted. */
  public static final int EINTR = 4;

  /** Input or output error: for /proc/PID/mem, the page can't be accessed. */
  public static final int EIO = 5;

  /** Not an executable file of a kind that the kernel knows. */
  public static final int ENOEXEC = 8;

  /** No child to wait for. */
  public static final int ECHILD = 10;

  /** Somebody else has it; try again. */
  public static final int EAGAIN = 11;

  /** Permission denied. */
  public static final int EACCES = 13;

  /** It is there already: for mmap with MAP_FIXED_NOREPLACE, the address is taken. */
  public static final int EEXIST = 17;

  /** Invalid argument. */
  public static final int EINVAL = 22;

  /** No such system call. */
  public static final int ENOSYS = 38;

  /** Restart codes that a stopped thread's rax shows; never seen by the program. */
  public static final int ERESTARTSYS = 512;

  /** Restart in any case. */
  public static final int ERESTARTNOINTR = 513;

  /** Restart if no handler runs. */
  public static final int ERESTARTNOHAND = 514;

  /** Restart through restart_syscall. */
  public static final int ERESTART_RESTARTBLOCK = 516;

  private Errno() {}
}
