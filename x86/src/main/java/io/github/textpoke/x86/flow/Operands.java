package io.github.textpoke.x86.flow;

import io.github.textpoke.CodeBytes;

/**
 * Registers and memory operand of an instruction that was decoded already, as far as the code
 * before a jump through a table uses them (SDM volume 2, chapter 2.1). Of use for opcodes of the
 * one-byte map and 0f; others have {@link #opcode} -1.
 *
 * @param opcode 0 to ff, or 100 to 1ff behind 0f
 * @param hasRex whether it has a REX prefix
 * @param wide whether it has REX.W
 * @param narrow whether it has a 66 prefix
 * @param reg register of ModRM or of the opcode, 0 to 15
 * @param rm register of ModRM, 0 to 15; -1 where the operand is memory or there is no ModRM
 * @param base register of the memory operand; -1 none, {@link #RIP} the next instruction
 * @param index register of the memory operand; -1 none
 * @param scale 1, 2, 4 or 8
 * @param displacement of the memory operand, sign-extended
 * @param end offset behind ModRM, SIB and displacement: of the immediate
 */
record Operands(
    int opcode,
    boolean hasRex,
    boolean wide,
    boolean narrow,
    int reg,
    int rm,
    int base,
    int index,
    int scale,
    int displacement,
    int end) {
  /** As {@link #base}: relative to the next instruction. */
  static final int RIP = 16;

  private static final Operands OTHER =
      new Operands(-1, false, false, false, -1, -1, -1, -1, 1, 0, 0);

  /** Whether it has a memory operand. */
  boolean isMemory() {
    return rm < 0;
  }

  /** The reg field of ModRM where it selects the operation. */
  int extension() {
    return reg & 7;
  }

  /**
   * Reads the instruction at {@code offset}.
   *
   * @param offset of bytes that are known to be an instruction
   */
  static Operands of(CodeBytes code, int offset) {
    int at = offset;
    boolean narrow = false;
    int rex = 0;
    while (true) {
      int prefix = code.at(at);
      if (prefix == 0x66) {
        narrow = true;
      } else if ((prefix & 0xf0) == 0x40) {
        rex = prefix;
      } else if (prefix != 0x3e && prefix != 0xf2) { // notrack, bnd: for branches
        break;
      }
      at++;
    }
    int opcode = code.at(at++);
    if (opcode == 0x0f) {
      opcode = 0x100 | code.at(at++);
    }
    if (!hasModRm(opcode)) {
      boolean inOpcode = opcode >= 0x50 && opcode < 0x60 || opcode >= 0xb8 && opcode < 0xc0;
      return isKnown(opcode)
          ? new Operands(
              opcode,
              rex != 0,
              (rex & 8) != 0,
              narrow,
              inOpcode ? opcode & 7 | (rex & 1) << 3 : -1,
              -1,
              -1,
              -1,
              1,
              0,
              at)
          : OTHER;
    }
    return withModRm(code, at, opcode, narrow, rex);
  }

  private static Operands withModRm(
      CodeBytes code, int start, int opcode, boolean narrow, int rex) {
    int at = start;
    int modrm = code.at(at++);
    int mod = modrm >> 6;
    int reg = modrm >> 3 & 7 | (rex & 4) << 1;
    int rm = modrm & 7 | (rex & 1) << 3;
    boolean wide = (rex & 8) != 0;
    if (mod == 3) {
      return new Operands(opcode, rex != 0, wide, narrow, reg, rm, -1, -1, 1, 0, at);
    }
    int base = rm;
    int index = -1;
    int scale = 1;
    if ((modrm & 7) == 4) {
      int sib = code.at(at++);
      scale = 1 << (sib >> 6);
      index = sib >> 3 & 7 | (rex & 2) << 2;
      index = index == 4 ? -1 : index;
      base = (sib & 7) == 5 && mod == 0 ? -1 : sib & 7 | (rex & 1) << 3;
    } else if ((modrm & 7) == 5 && mod == 0) {
      base = RIP;
    }
    int width = mod == 1 ? 1 : mod == 2 || base == RIP || base == -1 ? 4 : 0;
    int displacement = width == 0 ? 0 : signed(code, at, width);
    return new Operands(
        opcode, rex != 0, wide, narrow, reg, -1, base, index, scale, displacement, at + width);
  }

  /** Whether it works on ah, ch, dh or bh, whose numbers are those of other registers. */
  boolean namesHighByte() {
    return switch (opcode) {
      case 0x38, 0x3a, 0x84, 0x88 -> !hasRex && (isHigh(reg) || isHigh(rm));
      case 0x80, 0x1b6 -> !hasRex && isHigh(rm);
      default -> false;
    };
  }

  private static boolean isHigh(int register) {
    return register >= 4 && register < 8;
  }

  /** The immediate operand of {@code width} bytes, sign-extended. */
  int immediate(CodeBytes code, int width) {
    return signed(code, end, width);
  }

  private static int signed(CodeBytes code, int at, int width) {
    return switch (width) {
      case 1 -> (byte) code.at(at);
      case 4 -> code.at(at) | code.at(at + 1) << 8 | code.at(at + 2) << 16 | code.at(at + 3) << 24;
      default -> throw new IllegalArgumentException("no operand of " + width + " bytes");
    };
  }

  /** The opcodes that {@link Dispatch} knows, of those with ModRM. */
  private static boolean hasModRm(int opcode) {
    return switch (opcode) {
      case 0x01,
          0x03,
          0x29,
          0x2b,
          0x31,
          0x33,
          0x38,
          0x39,
          0x3a,
          0x3b,
          0x63,
          0x80,
          0x81,
          0x83,
          0x84,
          0x85,
          0x88,
          0x89,
          0x8b,
          0x8d,
          0xc7,
          0xff,
          0x1b6,
          0x1b7 ->
          true;
      default -> false;
    };
  }

  /** The opcodes that {@link Dispatch} knows, of those without ModRM. */
  private static boolean isKnown(int opcode) {
    return opcode >= 0x50 && opcode < 0x60
        || opcode >= 0xb8 && opcode < 0xc0
        || opcode >= 0x70 && opcode < 0x80
        || opcode >= 0x180 && opcode < 0x190
        || switch (opcode) {
          case 0x3c, 0x3d, 0x98 -> true;
          default -> false;
        };
  }
}
