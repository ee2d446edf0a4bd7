package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;

/**
 * Instructions that can be interrupted half done and go on from there when they are run again:
 * repeated string instructions (SDM vol. 2B, REP), gathers and scatters (VPGATHERDD: "partially
 * executed"), AMX tile loads and stores (TILELOADD: start_row). A thread may stand at the first
 * byte with a part of the work behind it, so a new instruction there would run after half an old
 * one.
 */
final class Resumable {
  private static final int VEX3 = 0xc4;
  private static final int EVEX = 0x62;
  private static final int MAP_0F38 = 2;

  private Resumable() {}

  static boolean is(Instruction instruction) {
    CodeBytes bytes = instruction.bytes();
    int at = 0;
    while (isLegacyPrefix(bytes.at(at))) {
      at++;
    }
    return switch (bytes.at(at)) {
      case VEX3 -> (bytes.at(at + 1) & 0x1f) == MAP_0F38 && isVectorOpcode(bytes.at(at + 3));
      case EVEX -> (bytes.at(at + 1) & 0x07) == MAP_0F38 && isVectorOpcode(bytes.at(at + 4));
      default -> Decoded.hasRepeat(instruction.decoded()) && isString(opcode(bytes, at));
    };
  }

  private static boolean isLegacyPrefix(int value) {
    return switch (value) {
      case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3 -> true;
      default -> false;
    };
  }

  /** The first opcode byte; {@code at} may be that of a REX prefix. */
  private static int opcode(CodeBytes bytes, int at) {
    return (bytes.at(at) & 0xf0) == 0x40 ? bytes.at(at + 1) : bytes.at(at);
  }

  /** ins, outs, movs, cmps, stos, lods, scas. */
  private static boolean isString(int opcode) {
    return (opcode >= 0x6c && opcode <= 0x6f)
        || (opcode >= 0xa4 && opcode <= 0xa7)
        || (opcode >= 0xaa && opcode <= 0xaf);
  }

  /** Gathers, scatters, tile loads and stores of map 0F38. */
  private static boolean isVectorOpcode(int opcode) {
    return (opcode >= 0x90 && opcode <= 0x93)
        || (opcode >= 0xa0 && opcode <= 0xa3)
        || opcode == 0x4b;
  }
}
