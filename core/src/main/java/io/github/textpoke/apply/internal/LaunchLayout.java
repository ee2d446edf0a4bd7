package io.github.textpoke.apply.internal;

/**
 * What lies where in the memory that this JVM shares with the launcher, a process of ours that
 * starts a program and waits for its end, and with the program's process before it calls execve.
 * Offsets in bytes from its start; addresses are those of this JVM. Strings end with a zero.
 */
public final class LaunchLayout {
  /** This JVM's process id. */
  public static final int JVM = 0;

  /** The launcher's process id, noted by itself. */
  public static final int LAUNCHER = 8;

  /** The program's process id, four bytes: 0 until it is known; or a negated errno. A futex. */
  public static final int CHILD = 16;

  /** Four bytes: 0 while the program's process waits; then {@link #GO}. A futex. */
  public static final int RELEASE = 24;

  /** {@link #RELEASE}: call execve. */
  public static final int GO = 1;

  /** How the program ended, as wait4 gives it, four bytes; once {@link #ENDED} is 1. */
  public static final int STATUS = 32;

  /** 1: the launcher has seen the program's end. */
  public static final int ENDED = 40;

  /** What the program's process was about when {@link #ERROR} came; one of the steps below. */
  public static final int STEP = 48;

  /** Why it did not get to its program: a negated errno; 0: it did. */
  public static final int ERROR = 56;

  /** The signals that the program is to block; bit n-1 is signal n. */
  public static final int MASK = 64;

  /** The executable file's name. */
  public static final int PATH = 72;

  /** Addresses of the arguments, ended by 0. */
  public static final int ARGUMENTS = 80;

  /** Addresses of the environment's strings, ended by 0. */
  public static final int ENVIRONMENT = 88;

  /** The working directory's name; 0: this JVM's. */
  public static final int DIRECTORY = 96;

  /**
   * Of each of the three standard streams: the file's name, 0 where it is this JVM's stream, and
   * behind it the flags to open it with; {@link #STREAM_SIZE} bytes apart.
   */
  public static final int STREAMS = 104;

  /** Bytes between two streams. */
  public static final int STREAM_SIZE = 16;

  /** How many standard streams there are. */
  public static final int STREAM_COUNT = 3;

  /**
   * Address of the ranges of descriptors to close: the first and the last of each, as longs, ended
   * by a last one of 0.
   */
  public static final int CLOSED = 152;

  /** Variables of both. */
  public static final int VARIABLES = 0x100;

  /** End of the variables. */
  public static final int VARIABLES_END = 0x400;

  /** Structs for the kernel. */
  public static final int SCRATCH = 0x400;

  /** Top of the launcher's stack. */
  public static final int LAUNCHER_STACK = 0x2000;

  /** Top of the stack of the program's process. */
  public static final int CHILD_STACK = 0x3000;

  /** Size of it all. */
  public static final int SIZE = 0x3000;

  /** {@link #STEP}: the working directory. */
  public static final int STEP_DIRECTORY = 1;

  /** {@link #STEP}: standard input; output and error follow. */
  public static final int STEP_STREAM = 2;

  /** {@link #STEP}: closing other descriptors. */
  public static final int STEP_DESCRIPTORS = 5;

  /** {@link #STEP}: the execve. */
  public static final int STEP_EXEC = 6;

  private LaunchLayout() {}
}
