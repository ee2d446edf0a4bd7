package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import java.util.Optional;

/**
 * Code, read from its start as it stood before we patched it (kernel: {@code can_probe}). Where the
 * planner's classes need to know what stands at an address, they ask here.
 */
final class Reading {
  private static final int LONGEST = 15;

  private final InstructionDecoder decoder;
  private final CodeRegion code;
  private final CodeRegion recovered;

  Reading(InstructionDecoder decoder, CodeRegion code) {
    this.decoder = decoder;
    this.code = code;
    this.recovered = code.recovered();
  }

  InstructionDecoder decoder() {
    return decoder;
  }

  /** As it stands now. */
  CodeRegion code() {
    return code;
  }

  /** As it stood before we patched it. */
  CodeRegion recovered() {
    return recovered;
  }

  /**
   * An instruction and the one before it.
   *
   * @param previous packed; 0 for the first of the region
   */
  record Boundary(Instruction instruction, long previous) {}

  /**
   * The instruction whose first byte is at {@code site}.
   *
   * @throws PlanRefusedException by rule 1 if there is no boundary, or no way to know; by rule 9 if
   *     the instruction does not end in the region; by rule 19 if it is a breakpoint of others
   */
  Boundary boundary(long site) {
    if (!code.contains(site)) {
      throw Rules.BOUNDARY.refusal(
          site,
          "",
          "it is not in %s (0x%x to 0x%x)".formatted(code.name(), code.address(), code.end()),
          "give the code of the function that holds the site");
    }
    int wanted = code.offsetOf(site);
    int offset = 0;
    long previous = 0;
    while (true) {
      long decoded = decoder.decode(recovered, offset);
      int length = Decoded.length(decoded);
      if (!Decoded.isDecoded(decoded)) {
        throw undecodable(offset, Decoded.reason(decoded));
      }
      if (Decoded.flow(decoded) == Flow.BREAKPOINT) {
        throw breakpoint(offset, offset == wanted);
      }
      if (offset == wanted) {
        return new Boundary(Instruction.of(recovered, offset, decoded), previous);
      }
      if (offset + length > wanted) {
        throw inside(site, offset, length);
      }
      previous = decoded;
      offset += length;
    }
  }

  /**
   * The instruction that {@code target} is in the middle of, as people read it; empty where it is a
   * boundary, outside of the region, or behind bytes that can't be read.
   */
  Optional<String> middleOf(long target) {
    int wanted = recovered.contains(target) ? recovered.offsetOf(target) : 0;
    int offset = 0;
    while (offset < wanted) {
      int length = Decoded.length(decoder.decode(recovered, offset));
      if (length == 0) {
        return Optional.empty();
      }
      if (offset + length > wanted) {
        return Optional.of(text(offset));
      }
      offset += length;
    }
    return Optional.empty();
  }

  /** Whether control that comes to {@code address} finds an instruction other than a breakpoint. */
  boolean goesOnAt(long address) {
    if (!recovered.contains(address)) {
      return false;
    }
    long decoded = decoder.decode(recovered, recovered.offsetOf(address));
    return Decoded.isDecoded(decoded) && Decoded.flow(decoded) != Flow.BREAKPOINT;
  }

  /** The instruction at {@code offset} of the code before us, as people read it. */
  String text(int offset) {
    return text(decoder, recovered, offset);
  }

  /**
   * The instruction at {@code offset} of {@code region}, as people read it; with its bytes where
   * the decoder can't format.
   */
  static String text(InstructionDecoder decoder, CodeRegion region, int offset) {
    String formatted = decoder.format(region, offset);
    if (formatted != null) {
      return formatted;
    }
    CodeBytes bytes = bytes(decoder, region, offset);
    return bytes.hex() + " (" + Disassembly.of(decoder, region.address() + offset, bytes) + ")";
  }

  private static CodeBytes bytes(InstructionDecoder decoder, CodeRegion region, int offset) {
    long decoded = decoder.decode(region, offset);
    int length = Decoded.isDecoded(decoded) ? Decoded.length(decoded) : LONGEST;
    return region.bytes().slice(offset, Math.min(offset + length, region.bytes().length()));
  }

  private PlanRefusedException undecodable(int offset, Undecodable reason) {
    boolean atEnd = reason == Undecodable.TRUNCATED;
    Rules rule = atEnd ? Rules.ROOM : Rules.BOUNDARY;
    return rule.refusal(
        code.address() + offset,
        bytes(decoder, recovered, offset).hex(),
        atEnd
            ? "the instruction does not end in %s, which ends at 0x%x"
                .formatted(code.name(), code.end())
            : "what stands there can't be read: " + readings(offset, reason),
        atEnd
            ? "give the whole function"
            : "choose a site before it, or one in a function that holds no data");
  }

  /** Why it can't be read; where two decoders disagree, what each of them reads. */
  private String readings(int offset, Undecodable reason) {
    return reason == Undecodable.WITNESSES_DISAGREE && decoder instanceof WitnessedDecoder witnessed
        ? reason.words() + " (" + witnessed.readings(recovered, offset) + ")"
        : reason.words();
  }

  private PlanRefusedException breakpoint(int offset, boolean isSite) {
    long address = code.address() + offset;
    return isSite
        ? Rules.BREAKPOINTS.refusal(
            address,
            text(offset),
            "a breakpoint stands there that is not ours: what is below it is not known",
            "remove it with the debugger or probe that set it")
        : Rules.BOUNDARY.refusal(
            address,
            text(offset),
            "a breakpoint that is not ours stands before the site and may hide the start of a"
                + " longer instruction",
            "remove it with the debugger or probe that set it, or choose a site before it");
  }

  private PlanRefusedException inside(long site, int offset, int length) {
    return Rules.BOUNDARY.refusal(
        site,
        text(offset),
        "it is byte %d of the instruction at 0x%x (%s)"
            .formatted(site - code.address() - offset, code.address() + offset, code.name()),
        "choose 0x%x or 0x%x".formatted(code.address() + offset, code.address() + offset + length));
  }
}
