package io.github.textpoke.decode;

import io.github.textpoke.PatchException.PlanRefusedException;

/**
 * Reads one instruction. An implementation knows one instruction set and follows an allow-list:
 * what it does not know, it does not decode. Not thread-safe; make one per thread.
 */
public interface InstructionDecoder {
  /** A short name for messages, such as {@code table} or {@code zydis 4.0.0}. */
  String name();

  /**
   * Decodes the instruction at {@code offset} of {@code code}. Allocates nothing and throws nothing
   * for bad bytes.
   *
   * @param offset from the region's first byte, 0 to its length, exclusive
   * @return the instruction, packed; see {@link Decoded}. {@link Decoded#isDecoded} is false where
   *     the bytes are none, and {@link Decoded#reason} says why
   */
  long decode(CodeRegion code, int offset);

  /**
   * The instruction at {@code offset} as people read it, without its address; {@code null} where
   * this decoder can't format. Branch targets are absolute. May allocate.
   */
  default @org.jspecify.annotations.Nullable String format(CodeRegion code, int offset) {
    return null;
  }

  /**
   * The instruction at {@code offset} as an object.
   *
   * @throws PlanRefusedException if the bytes there are none
   */
  default Instruction instruction(CodeRegion code, int offset) {
    long decoded = decode(code, offset);
    if (!Decoded.isDecoded(decoded)) {
      throw new PlanRefusedException(
          1,
          code.address() + offset,
          code.bytes().slice(offset, Math.min(offset + 15, code.bytes().length())).toString(),
          "the bytes are no instruction: " + Decoded.reason(decoded).words());
    }
    return Instruction.of(code, offset, decoded);
  }
}
