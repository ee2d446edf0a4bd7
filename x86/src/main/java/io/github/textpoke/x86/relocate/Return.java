package io.github.textpoke.x86.relocate;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;

/**
 * Pushes a return address without a register and without touching a flag, and writes no byte that a
 * call would not write. Whoever unwinds from the callee finds the old code, as ever.
 */
final class Return {
  /** Bytes on the stack, once it is pushed. */
  static final int WIDTH = 8;

  private Return() {}

  /**
   * {@code push low}, which the processor extends by its sign, and then {@code mov dword [rsp+4],
   * high} where that is not the high half (SDM vol. 2B, PUSH).
   */
  static ImmutableList<Part> push(long address) {
    Part push = new Part.Fixed(CodeBytes.of(0x68).concat(dword((int) address)), 0);
    if (address == (int) address) {
      return ImmutableList.of(push);
    }
    CodeBytes high = dword((int) (address >> Integer.SIZE));
    return ImmutableList.of(
        push, new Part.Fixed(CodeBytes.of(0xc7, 0x44, 0x24, 0x04).concat(high), WIDTH));
  }

  /** Four bytes, little-endian. */
  static CodeBytes dword(int value) {
    return CodeBytes.of(
        (byte) value, (byte) (value >> 8), (byte) (value >> 16), (byte) (value >> 24));
  }
}
