package io.github.textpoke.x86.decode;

import io.github.textpoke.decode.Undecodable;

/**
 * What {@link VexForm} and {@link EvexForm} answer, in a {@code long}: bit 0 to 7 the bytes behind
 * the escape byte; bit 8 to 15 where among them a RIP-relative displacement stands, 0: none; bit 16
 * to 23 the {@link Undecodable} reason plus 1, 0: valid.
 */
final class VectorForm {
  private static final Undecodable[] REASONS = Undecodable.values();

  private VectorForm() {}

  static long valid(int length, int displacementAt) {
    return length | (long) displacementAt << 8;
  }

  static long refused(int length, Undecodable reason) {
    return length | (long) (reason.ordinal() + 1) << 16;
  }

  static int length(long form) {
    return (int) form & 0xff;
  }

  static boolean isValid(long form) {
    return form >> 16 == 0;
  }

  static Undecodable reason(long form) {
    return REASONS[(int) (form >> 16) - 1];
  }

  static boolean isRipRelative(long form) {
    return (form >> 8 & 0xff) != 0;
  }

  static int displacementAt(long form) {
    return (int) (form >> 8) & 0xff;
  }
}
