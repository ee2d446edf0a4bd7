package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.x86.flow.FunctionCode;

/**
 * The instructions of one function that are asked about, and the refusals when somebody enters
 * them. Addresses are link-time where nothing else is said; those in refusals are absolute.
 */
final class EnteredRun {
  private final Reading reading;
  private final FunctionCode function;
  private final long bias;
  private final long from;
  private final long to;

  private EnteredRun(Reading reading, FunctionCode function, long bias, long from, long to) {
    this.reading = reading;
    this.function = function;
    this.bias = bias;
    this.from = from;
    this.to = to;
  }

  /**
   * Those that hold {@code length} bytes from {@code site}, absolute.
   *
   * @throws PlanRefusedException by rule 7 if the function can't be read to its end, by rule 9 if
   *     it ends before
   */
  static EnteredRun of(Reading reading, long site, int length, long bias) {
    CodeRegion code = reading.recovered();
    CodeRegion linked = CodeRegion.of(code.name(), code.address() - bias, code.bytes());
    FunctionCode function = new FunctionCode(reading.decoder(), linked);
    if (!function.isWhole()) {
      throw Rules.DISPLACING.refusal(
          code.address() + function.readTo(),
          reading.text(function.readTo()),
          "what stands there can't be read, so whether it leads behind 0x%x is not known"
              .formatted(site),
          "choose a site whose one instruction is long enough, or one in a function that holds no"
              + " data");
    }
    long from = site - bias;
    int index = function.indexOf(from);
    long to = from;
    while (to - from < length && index < function.count()) {
      to += Decoded.length(function.decoded(index++));
    }
    if (to - from < length) {
      throw Rules.ROOM.refusal(
          site,
          reading.text(code.offsetOf(site)),
          "%d bytes are needed, and %s ends at 0x%x".formatted(length, code.name(), code.end()),
          "choose a site farther from the end");
    }
    return new EnteredRun(reading, function, bias, from, to);
  }

  Reading reading() {
    return reading;
  }

  InstructionDecoder decoder() {
    return reading.decoder();
  }

  FunctionCode function() {
    return function;
  }

  String name() {
    return reading.code().name();
  }

  long bias() {
    return bias;
  }

  /** Of the first instruction. */
  long from() {
    return from;
  }

  /** Behind the last one. */
  long to() {
    return to;
  }

  long absoluteEnd() {
    return to + bias;
  }

  long functionStart() {
    return function.code().address();
  }

  long functionEnd() {
    return function.code().end();
  }

  /** Whether {@code address} is behind the first byte. */
  boolean isInside(long address) {
    return address > from && address < to;
  }

  /**
   * Whether control that comes to {@code address} runs an instruction that begins behind the first
   * byte: there, or before in the middle of an instruction, until it falls in with the others.
   */
  boolean isEnteredFrom(long address) {
    long at = address;
    while (function.contains(at)) {
      if (isInside(at)) {
        return true;
      }
      if (function.isBoundary(at)) {
        return false;
      }
      long decoded = decoder().decode(function.code(), function.code().offsetOf(at));
      if (!Decoded.isDecoded(decoded) || Decoded.flow(decoded).endsFlow()) {
        return false;
      }
      at += Decoded.length(decoded);
    }
    return false;
  }

  /** The instruction of the function at {@code address}, as people read it. */
  String textAt(long address) {
    return reading.text(reading.recovered().offsetOf(address + bias));
  }

  /** A refusal because the instruction at {@code who} enters at {@code target}. */
  PlanRefusedException entered(long who, String text, long target, String how) {
    return Rules.DISPLACING.refusal(
        who + bias,
        text,
        "it leads to 0x%x, behind the first byte of the instructions that would be displaced (0x%x"
                .formatted(target + bias, from + bias)
            + " to 0x%x), ".formatted(to + bias)
            + how,
        remedy(target));
  }

  /** A refusal because of what is known of the place {@code target}. */
  PlanRefusedException enteredAt(long target, String why) {
    return Rules.DISPLACING.refusal(
        target + bias,
        function.contains(target) ? textAt(target) : "",
        "%s: it is behind the first byte of the instructions that would be displaced (0x%x to 0x%x)"
            .formatted(why, from + bias, to + bias),
        remedy(target));
  }

  /** A refusal because it is not known where the instruction at {@code who} leads. */
  PlanRefusedException unknown(long who, String text, String why) {
    return Rules.DISPLACING.refusal(
        who + bias,
        text,
        "%s, so it may lead behind the first byte of the instructions that would be displaced"
                .formatted(why)
            + " (0x%x to 0x%x)".formatted(from + bias, to + bias),
        "choose a site whose one instruction is long enough, or arm a breakpoint");
  }

  private String remedy(long target) {
    return isInside(target)
        ? "choose a site from 0x%x on, or one that ends before it".formatted(target + bias)
        : "choose a site that nobody enters in the middle";
  }
}
