package io.github.textpoke.x86.decode;

/**
 * The size of a memory operand by ModRM in 64-bit mode: SDM volume 2, tables 2-2, 2-3 and 2-7. One
 * byte per ModRM value.
 */
final class Memory {
  /** Mask: bytes of SIB and displacement behind ModRM. */
  static final int SIZE = 7;

  /** Bit: a SIB byte with base 5 adds 4 bytes of displacement. */
  static final int BASE_MATTERS = 8;

  /** The whole value: 4 bytes of displacement, relative to the next instruction. */
  static final int RIP_RELATIVE = 16 | 4;

  /** By ModRM, 0 to 255; register forms have nothing. */
  static final byte[] OPERANDS = operands();

  private Memory() {}

  private static byte[] operands() {
    byte[] operands = new byte[256];
    for (int modrm = 0; modrm < 0xc0; modrm++) {
      int mod = modrm >> 6;
      boolean sib = (modrm & 7) == 4;
      int displacement = mod == 0 ? 0 : mod == 1 ? 1 : 4;
      operands[modrm] =
          (byte)
              (mod == 0 && (modrm & 7) == 5
                  ? RIP_RELATIVE
                  : displacement + (sib ? 1 : 0) | (mod == 0 && sib ? BASE_MATTERS : 0));
    }
    return operands;
  }

  /**
   * The bytes that SIB and displacement take.
   *
   * @param at of the byte behind ModRM
   */
  static int size(byte[] bytes, int at, int modrm) {
    int operand = OPERANDS[modrm];
    int size = operand & SIZE;
    return (operand & BASE_MATTERS) != 0 && (bytes[at] & 7) == 5 ? size + 4 : size;
  }
}
