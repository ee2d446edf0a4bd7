package io.github.textpoke.unwind;

import java.util.OptionalLong;

/**
 * One function that a thread is in.
 *
 * @param pc absolute address of the next instruction it runs there
 * @param isReturnAddress whether {@code pc} is where a call returns to; else the thread is there
 *     now, or was interrupted there by a signal
 * @param cfa the canonical frame address, absolute: the stack pointer after it has returned; empty
 *     where it is not known, in the last frame of a trace only
 * @param isSignalFrame whether it is the kernel's call of a signal handler, and the frame behind it
 *     was interrupted
 */
public record Frame(long pc, boolean isReturnAddress, OptionalLong cfa, boolean isSignalFrame) {
  /**
   * An absolute address in the instruction that the thread is at: a call may be the last
   * instruction of its function, and then returns to what is none of it.
   */
  public long codeAddress() {
    return isReturnAddress ? pc - 1 : pc;
  }
}
