package io.github.textpoke.cli;

import io.github.textpoke.CodeBytes;
import java.util.Optional;

/**
 * The other encoding of an instruction: x86 has two for most operations between two registers,
 * which differ in what is source and what is destination (SDM vol. 2, 2.1.3: the direction bit).
 */
final class Twin {
  private static final int DIRECTION = 2;
  private static final int REGISTERS_ONLY = 0xc0;

  private Twin() {}

  /** As many other bytes that do the same; empty where there are none that we know. */
  static Optional<CodeBytes> of(CodeBytes code) {
    boolean hasRex = code.at(0) >> 4 == 4;
    int at = hasRex ? 1 : 0;
    if (code.length() != at + 2
        || !hasDirection(code.at(at))
        || (code.at(at + 1) & REGISTERS_ONLY) != REGISTERS_ONLY) {
      return Optional.empty();
    }
    int modRm = code.at(at + 1);
    CodeBytes twin =
        CodeBytes.of(code.at(at) ^ DIRECTION, REGISTERS_ONLY | (modRm & 7) << 3 | modRm >> 3 & 7);
    if (!hasRex) {
      return Optional.of(twin);
    }
    int rex = code.at(0);
    return Optional.of(CodeBytes.of((rex & ~5) | (rex & 1) << 2 | rex >> 2 & 1).concat(twin));
  }

  /** mov, add, or, and, sub, xor, cmp of 32 or 64 bits. */
  private static boolean hasDirection(int opcode) {
    return switch (opcode & ~DIRECTION) {
      case 0x89, 0x01, 0x09, 0x21, 0x29, 0x31, 0x39 -> true;
      default -> false;
    };
  }
}
