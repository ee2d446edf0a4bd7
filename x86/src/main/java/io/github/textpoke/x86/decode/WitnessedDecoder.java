package io.github.textpoke.x86.decode;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import org.jspecify.annotations.Nullable;

/**
 * Asks two decoders and believes only what both say: where length, flow, branch or RIP-relative
 * fields differ, or one of them refuses, the bytes are {@link Undecodable#WITNESSES_DISAGREE}.
 * Where both refuse, the first one's reason counts. What is not witnessed ({@link
 * Decoded#WITNESSED}) is the first one's word.
 *
 * <p>Not thread-safe, as its decoders are not.
 */
public final class WitnessedDecoder implements InstructionDecoder {
  private final InstructionDecoder first;
  private final InstructionDecoder second;

  /**
   * Of two decoders that must not share their state.
   *
   * @param first the decoder whose words count
   * @param second the witness
   */
  public WitnessedDecoder(InstructionDecoder first, InstructionDecoder second) {
    this.first = first;
    this.second = second;
  }

  /** Table and Zydis where Zydis is available, else the table alone. */
  public static InstructionDecoder best() {
    return ZydisDecoder.isAvailable() ? requireZydis() : new TableDecoder();
  }

  /**
   * Table and Zydis.
   *
   * @throws UnsupportedPlatformException if Zydis is not available, with the reason
   */
  public static WitnessedDecoder requireZydis() {
    return new WitnessedDecoder(new TableDecoder(), new ZydisDecoder());
  }

  @Override
  public String name() {
    return first.name() + " and " + second.name();
  }

  @Override
  public long decode(CodeRegion code, int offset) {
    long one = first.decode(code, offset);
    long other = second.decode(code, offset);
    if (!Decoded.isDecoded(one) && !Decoded.isDecoded(other)) {
      return one;
    }
    return ((one ^ other) & Decoded.WITNESSED) == 0
        ? one
        : Decoded.undecodable(Undecodable.WITNESSES_DISAGREE);
  }

  /** As the first decoder that formats at all writes it. */
  @Override
  public @Nullable String format(CodeRegion code, int offset) {
    String text = second.format(code, offset);
    return text == null ? first.format(code, offset) : text;
  }

  /**
   * What each decoder reads at {@code offset}, for the message of a refusal: {@code table: 2 bytes,
   * NEXT; zydis 4.0.0: no instruction that is known}.
   */
  public String readings(CodeRegion code, int offset) {
    return reading(first, code, offset) + "; " + reading(second, code, offset);
  }

  private static String reading(InstructionDecoder decoder, CodeRegion code, int offset) {
    long decoded = decoder.decode(code, offset);
    if (!Decoded.isDecoded(decoded)) {
      return decoder.name() + ": " + Decoded.reason(decoded).words();
    }
    StringBuilder text = new StringBuilder(decoder.name()).append(": ");
    String disassembly = decoder.format(code, offset);
    if (disassembly != null) {
      text.append('\'').append(disassembly).append("', ");
    }
    CodeBytes bytes = code.bytes().slice(offset, offset + Decoded.length(decoded));
    text.append("%d bytes (%s), %s".formatted(bytes.length(), bytes, Decoded.flow(decoded)));
    if (Decoded.branchWidth(decoded) != 0) {
      text.append(
          ", branch displacement of %d bytes at %d"
              .formatted(Decoded.branchWidth(decoded), Decoded.branchOffset(decoded)));
    }
    if (Decoded.ripWidth(decoded) != 0) {
      text.append(", RIP-relative displacement at %d".formatted(Decoded.ripOffset(decoded)));
    }
    return text.toString();
  }
}
