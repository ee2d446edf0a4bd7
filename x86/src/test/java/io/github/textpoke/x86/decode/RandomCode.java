package io.github.textpoke.x86.decode;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import java.util.SplittableRandom;

/** Seeded strings of random bytes, many in one region, each {@link #STRIDE} bytes from the last. */
final class RandomCode {
  /** Bytes from one string to the next; the longest instruction takes 15. */
  static final int STRIDE = 24;

  /** Strings in a region. */
  static final int STRINGS = 1 << 15;

  private static final int[] PREFIXES = {
    0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x40, 0x41, 0x44, 0x48, 0x4c
  };

  /** Opcodes whose validity hangs on ModRM, prefixes or more. */
  private static final int[] GROUPS = {0x8c, 0x8e, 0x8f, 0xc6, 0xc7, 0xd9, 0xdb, 0xf6, 0xfe, 0xff};

  private final SplittableRandom random;

  RandomCode(long seed) {
    random = new SplittableRandom(seed);
  }

  /** Every byte is as likely as every other. */
  CodeRegion uniform() {
    byte[] bytes = new byte[STRIDE * STRINGS];
    random.nextBytes(bytes);
    return CodeRegion.of("random", 0x400000, CodeBytes.of(bytes));
  }

  /** Up to four prefixes, then often an escape with fields that are likely to be valid. */
  CodeRegion prefixHeavy() {
    byte[] bytes = new byte[STRIDE * STRINGS];
    random.nextBytes(bytes);
    for (int at = 0; at < bytes.length; at += STRIDE) {
      int next = at;
      for (int prefixes = Math.max(0, random.nextInt(8) - 3); prefixes > 0; prefixes--) {
        bytes[next++] = pick(PREFIXES);
      }
      switch (random.nextInt(8)) {
        case 0 -> bytes[next] = 0x0f;
        case 1 -> {
          bytes[next] = 0x0f;
          bytes[next + 1] = (byte) (random.nextBoolean() ? 0x38 : 0x3a);
        }
        case 2 -> vex(bytes, next);
        case 3, 4 -> evex(bytes, next);
        case 5 -> bytes[next] = pick(GROUPS);
        default -> {} // any opcode
      }
    }
    return CodeRegion.of("random", 0x400000, CodeBytes.of(bytes));
  }

  private void vex(byte[] bytes, int at) {
    if (random.nextBoolean()) {
      bytes[at] = (byte) 0xc5;
      bytes[at + 1] |= oftenAll(0x78);
    } else {
      bytes[at] = (byte) (random.nextInt(8) == 0 ? 0x8f : 0xc4);
      bytes[at + 1] = (byte) (bytes[at + 1] & 0xe0 | 1 + random.nextInt(3));
      bytes[at + 1] += bytes[at] == (byte) 0x8f ? 7 : 0; // maps 8 to 10 of XOP
      bytes[at + 2] |= oftenAll(0x78);
    }
  }

  private void evex(byte[] bytes, int at) {
    bytes[at] = 0x62;
    bytes[at + 1] = (byte) (bytes[at + 1] & 0xf0 | 1 + random.nextInt(6) | oftenAll(0xf0));
    bytes[at + 2] |= (random.nextInt(16) == 0 ? 0 : 4) | oftenAll(0x78);
    if (random.nextBoolean()) {
      bytes[at + 3] = (byte) (bytes[at + 3] & 0x67 | 8); // no zeroing, no rounding
    }
  }

  private byte oftenAll(int mask) {
    return (byte) (random.nextBoolean() ? mask : 0);
  }

  private byte pick(int[] values) {
    return (byte) values[random.nextInt(values.length)];
  }
}
