package io.github.textpoke.x86.relocate;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Instruction;

/** Where the opcode of a legacy instruction stands, and lengths that are counted on. */
final class Opcode {
  /** Length in bytes of {@code jmp rel8}. */
  static final int SHORT_JUMP = 2;

  /** Length in bytes of {@code jmp rel32}. */
  static final int NEAR_JUMP = 5;

  /** Length in bytes of {@code jcc rel32}. */
  static final int NEAR_CONDITIONAL_JUMP = 6;

  private Opcode() {}

  /**
   * Offset of the first byte that is no prefix (SDM vol. 2, 2.1.1 and 2.2.1). Not for VEX and EVEX.
   */
  static int at(Instruction instruction) {
    CodeBytes bytes = instruction.bytes();
    int at = 0;
    while (isPrefix(bytes.at(at))) {
      at++;
    }
    return at;
  }

  private static boolean isPrefix(int value) {
    return switch (value) {
      case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3 -> true;
      default -> (value & 0xf0) == 0x40; // REX
    };
  }
}
