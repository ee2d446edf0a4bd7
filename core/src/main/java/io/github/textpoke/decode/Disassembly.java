package io.github.textpoke.decode;

import io.github.textpoke.CodeBytes;
import java.util.Locale;

/** Bytes as people read them, as well as a decoder can say it. Stateless. */
public final class Disassembly {
  private Disassembly() {}

  /**
   * The first instruction of {@code bytes}: the decoder's text; where it can't format, the kind and
   * the direct target; where the bytes are no instruction, why not. Never throws for bad bytes.
   *
   * @param address absolute address of the first byte
   */
  public static String of(InstructionDecoder decoder, long address, CodeBytes bytes) {
    CodeRegion code = CodeRegion.of("bytes", address, bytes);
    long decoded = decoder.decode(code, 0);
    if (!Decoded.isDecoded(decoded)) {
      return "(bad: " + Decoded.reason(decoded).words() + ")";
    }
    String text = decoder.format(code, 0);
    if (text != null) {
      return text;
    }
    Instruction instruction = Instruction.of(code, 0, decoded);
    String kind = instruction.flow().name().toLowerCase(Locale.ROOT).replace('_', ' ');
    return instruction.directTarget().isPresent()
        ? kind + " 0x" + Long.toHexString(instruction.directTarget().getAsLong())
        : kind;
  }
}
