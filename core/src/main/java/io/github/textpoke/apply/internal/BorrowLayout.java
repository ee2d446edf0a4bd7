package io.github.textpoke.apply.internal;

/**
 * What lies where in the memory that this JVM shares with the borrower: a process of ours that
 * brings helper and poker into a target. Offsets in bytes from its start. Addresses of the target
 * unless said.
 */
public final class BorrowLayout {
  /** The target's process id, as we number it. */
  public static final int PID = 0;

  /** The thread to borrow. */
  public static final int THREAD = 8;

  /** A {@code syscall} instruction. */
  public static final int GADGET = 16;

  /** Flags of the clone. */
  public static final int CLONE_FLAGS = 24;

  /** Where the helper's code is; 0: it is not there yet. Then, where it was mapped. */
  public static final int CODE = 32;

  /** The code: its address in this JVM, and behind it its length. */
  public static final int CODE_BYTES = 40;

  /** Size of a new segment of the ledger in bytes; 0: none is wanted. */
  public static final int LEDGER_SIZE = 56;

  /** Size of the session's memory in bytes. */
  public static final int SESSION_SIZE = 64;

  /** The beginning of the session's memory: its address in this JVM, and behind it its length. */
  public static final int SESSION_BYTES = 72;

  /** 0, a negated errno, {@link #UNFIT} or {@link #STALE}. */
  public static final int RESULT = 88;

  /** Which of the steps it was. */
  public static final int STEP = 96;

  /** Where the target sees the session's memory. */
  public static final int SESSION = 104;

  /** The helper's thread id, as we number it. */
  public static final int HELPER = 112;

  /** The helper's descriptor of the session's memory. */
  public static final int SESSION_FD = 120;

  /** Names of the three files, each ended by a zero, 32 bytes apart: code, ledger, session. */
  public static final int NAMES = 0x80;

  /** Bytes between two names. */
  public static final int NAME_SIZE = 32;

  /** System calls that may be issued again: as in {@link SessionLayout#REPEATABLE}. */
  public static final int REPEATABLE = 0x100;

  /** Variables of the borrower. */
  public static final int VARIABLES = 0x200;

  /** End of the variables. */
  public static final int VARIABLES_END = 0x800;

  /** Structs that the kernel fills. */
  public static final int SCRATCH = 0x800;

  /** Top of the borrower's stack. */
  public static final int STACK = 0x6000;

  /** Size of it all. */
  public static final int SIZE = 0x6000;

  /** {@link #RESULT}: the thread can't be borrowed, and was left as it was; another may. */
  public static final int UNFIT = 1;

  /** {@link #RESULT}: the target runs another program than that which was looked at. */
  public static final int STALE = 2;

  private BorrowLayout() {}
}
