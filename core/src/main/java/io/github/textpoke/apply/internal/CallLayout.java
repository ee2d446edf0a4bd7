package io.github.textpoke.apply.internal;

/**
 * What the code that calls one function finds in its memory, to whose start RBX points when its
 * first instruction runs. Eight bytes each unless said; addresses are absolute.
 */
public final class CallLayout {
  /** A function without arguments that is called before; 0: none. */
  public static final int BEGINNING = 0;

  /** The function. */
  public static final int FUNCTION = 8;

  /** Its first argument. */
  public static final int FIRST = 16;

  /** Its second argument. */
  public static final int SECOND = 24;

  /** A function without arguments that is called behind it; 0: none. */
  public static final int END = 32;

  /** What the function has returned; valid where {@link #RETURNED} is not 0. */
  public static final int RESULT = 40;

  /** 1: all functions have returned. */
  public static final int RETURNED = 48;

  /**
   * State of the vector unit and of the x87 unit as a function may expect it, for XRSTOR: all zero
   * but {@link #MXCSR}.
   */
  public static final int STATE = 64;

  /** The control word of the vector unit in {@link #STATE}; 4 bytes. */
  public static final int MXCSR = STATE + 24;

  /** What {@link #MXCSR} is at the start of a program: all exceptions masked. */
  public static final int MXCSR_AT_START = 0x1f80;

  /**
   * Offset in the code of a {@code syscall} instruction, for the clone of the thread that calls.
   * Behind it, if the tracer has died, the new thread ends, and the one that was borrowed for the
   * clone goes on as it was: RBX points to this memory, and the following was written there before.
   */
  public static final int GATE = 0x200;

  /** Its signal mask. */
  public static final int SAVED_MASK = 0x400;

  /** Its rax, rcx, rdx, rsi, rdi, r8, r9, r10 and r11. */
  public static final int SAVED_REGISTERS = 0x408;

  /** How many these are. */
  public static final int SAVED_COUNT = 9;

  /**
   * The absolute address of its rbx, rip, cs, flags, rsp and ss, for IRET, with room for a signal
   * frame below.
   */
  public static final int SAVED_FRAME = SAVED_REGISTERS + SAVED_COUNT * 8;

  private CallLayout() {}
}
