package io.github.textpoke.decode;

import io.github.textpoke.CodeBytes;
import java.util.OptionalLong;

/**
 * One instruction at its address.
 *
 * @param address absolute
 * @param bytes exactly the instruction
 * @param decoded see {@link Decoded}
 */
public record Instruction(long address, CodeBytes bytes, long decoded) {
  /** No instruction is longer, in bytes. */
  public static final int MAX_LENGTH = 15;

  /** The instruction that {@code decoded} describes, at {@code offset} of {@code code}. */
  public static Instruction of(CodeRegion code, int offset, long decoded) {
    return new Instruction(
        code.address() + offset,
        code.bytes().slice(offset, offset + Decoded.length(decoded)),
        decoded);
  }

  /** Length in bytes. */
  public int length() {
    return bytes.length();
  }

  /** The address behind it. */
  public long end() {
    return address + bytes.length();
  }

  /** What it does to the flow of control. */
  public Flow flow() {
    return Decoded.flow(decoded);
  }

  /** The absolute target of a direct branch. */
  public OptionalLong directTarget() {
    int width = Decoded.branchWidth(decoded);
    return width == 0
        ? OptionalLong.empty()
        : OptionalLong.of(end() + signed(Decoded.branchOffset(decoded), width));
  }

  /** The absolute address that a RIP-relative operand names. */
  public OptionalLong ripTarget() {
    int width = Decoded.ripWidth(decoded);
    return width == 0
        ? OptionalLong.empty()
        : OptionalLong.of(end() + signed(Decoded.ripOffset(decoded), width));
  }

  private long signed(int offset, int width) {
    long value = 0;
    for (int i = 0; i < width; i++) {
      value |= (long) bytes.at(offset + i) << 8 * i;
    }
    int shift = 64 - 8 * width;
    return value << shift >> shift;
  }
}
