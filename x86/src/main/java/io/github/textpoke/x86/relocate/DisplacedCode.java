package io.github.textpoke.x86.relocate;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Disassembly;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import java.util.ArrayList;
import java.util.List;

/**
 * The whole instructions that a patch of some bytes displaces.
 *
 * @param decoder what read them
 * @param instructions at least one, each where the one before it ends
 */
record DisplacedCode(InstructionDecoder decoder, ImmutableList<Instruction> instructions) {
  /**
   * Reads {@code code} from its start, as it stood before we patched it, and takes instructions
   * from {@code site} on until they have {@code minimum} bytes.
   *
   * @throws PlanRefusedException by rule 1 if the site is no boundary or there is no way to know,
   *     by rule 7 if one of our patches is in the way, by rule 9 if the code ends before
   */
  static DisplacedCode of(InstructionDecoder decoder, CodeRegion code, long site, int minimum) {
    checkArgument(minimum > 0, "no bytes to displace: %s", minimum);
    CodeRegion recovered = code.recovered();
    if (!code.contains(site)) {
      throw new PlanRefusedException(
          1,
          site,
          "",
          "it is not in %s (0x%x to 0x%x)".formatted(code.name(), code.address(), code.end()),
          "give the code of the function that holds the site");
    }
    int first = code.offsetOf(site);
    checkBoundary(decoder, recovered, first);
    List<Instruction> taken = new ArrayList<>();
    int at = first;
    while (at < first + minimum) {
      if (at == code.bytes().length()) {
        throw tooShort(decoder, recovered, first, minimum);
      }
      if (!taken.isEmpty()) {
        checkReached(decoder, taken, code.address() + at);
      }
      Instruction next = read(decoder, recovered, at);
      taken.add(next);
      at += next.length();
    }
    DisplacedCode displaced = new DisplacedCode(decoder, ImmutableList.copyOf(taken));
    for (Site ours : code.originals()) {
      if (ours.overlaps(displaced.site())) {
        throw displaced.refusal(
            7,
            displaced.instructions.get(0),
            "a patch of ours stands at 0x%x, among the bytes that it would displace"
                .formatted(ours.address()),
            "revert that patch first");
      }
    }
    return displaced;
  }

  /** Address and bytes of all of them. */
  Site site() {
    CodeBytes bytes =
        instructions.stream().map(Instruction::bytes).reduce(CodeBytes.EMPTY, CodeBytes::concat);
    return new Site(start(), bytes);
  }

  /** The address of the first byte. */
  long start() {
    return instructions.get(0).address();
  }

  /** The address behind the last byte. */
  long end() {
    return last().end();
  }

  /** The last of them. */
  Instruction last() {
    return instructions.get(instructions.size() - 1);
  }

  /** Whether the byte at {@code address} is displaced. */
  boolean contains(long address) {
    return Long.compareUnsigned(address, start()) >= 0 && Long.compareUnsigned(address, end()) < 0;
  }

  /** Whether a displaced instruction begins at {@code address}. */
  boolean isBoundary(long address) {
    return instructions.stream().anyMatch(instruction -> instruction.address() == address);
  }

  /**
   * A refusal.
   *
   * @param rule number of the rule that {@code at} breaks
   */
  PlanRefusedException refusal(int rule, Instruction at, String reason, String remedy) {
    return refusal(decoder, rule, at, reason, remedy);
  }

  private static PlanRefusedException refusal(
      InstructionDecoder decoder, int rule, Instruction at, String reason, String remedy) {
    return new PlanRefusedException(rule, at.address(), text(decoder, at), reason, remedy);
  }

  private static String text(InstructionDecoder decoder, Instruction instruction) {
    CodeRegion alone = CodeRegion.of("instruction", instruction.address(), instruction.bytes());
    String formatted = decoder.format(alone, 0);
    return formatted != null
        ? formatted
        : "%s (%s)"
            .formatted(
                instruction.bytes(),
                Disassembly.of(decoder, instruction.address(), instruction.bytes()));
  }

  private static void checkBoundary(InstructionDecoder decoder, CodeRegion code, int wanted) {
    int at = 0;
    while (at < wanted) {
      Instruction instruction = read(decoder, code, at);
      if (instruction.flow() == Flow.BREAKPOINT) {
        throw refusal(
            decoder,
            1,
            instruction,
            "a breakpoint that is not ours stands before the site and may hide the start of a"
                + " longer instruction",
            "remove it with the debugger or probe that set it, or choose a site before it");
      }
      at += instruction.length();
      if (at > wanted) {
        throw refusal(
            decoder,
            1,
            instruction,
            "the site 0x%x is in the middle of it".formatted(code.address() + wanted),
            "choose 0x%x or 0x%x".formatted(instruction.address(), instruction.end()));
      }
    }
  }

  private static Instruction read(InstructionDecoder decoder, CodeRegion code, int at) {
    long decoded = decoder.decode(code, at);
    if (Decoded.isDecoded(decoded)) {
      return Instruction.of(code, at, decoded);
    }
    Undecodable reason = Decoded.reason(decoded);
    boolean atEnd = reason == Undecodable.TRUNCATED;
    int end = Math.min(at + Instruction.MAX_LENGTH, code.bytes().length());
    throw new PlanRefusedException(
        atEnd ? 9 : 1,
        code.address() + at,
        code.bytes().slice(at, end).hex(),
        atEnd
            ? "the instruction does not end in %s, which ends at 0x%x"
                .formatted(code.name(), code.end())
            : "what stands there can't be read: " + readings(decoder, code, at, reason),
        atEnd
            ? "give the whole function"
            : "choose a site before it, or one in a function that holds no data");
  }

  /** Why it can't be read; where two decoders disagree, what each of them reads. */
  private static String readings(
      InstructionDecoder decoder, CodeRegion code, int at, Undecodable reason) {
    return reason == Undecodable.WITNESSES_DISAGREE && decoder instanceof WitnessedDecoder witnessed
        ? "%s (%s)".formatted(reason.words(), witnessed.readings(code, at))
        : reason.words();
  }

  /**
   * Refuses to take what only data or other code could be: the instruction before never goes on to
   * it, and no displaced branch leads to it.
   */
  private static void checkReached(
      InstructionDecoder decoder, List<Instruction> taken, long address) {
    Instruction before = taken.get(taken.size() - 1);
    boolean isReached =
        !before.flow().endsFlow()
            || before.flow() == Flow.FAULT // which is not moved, whatever comes
            || taken.stream()
                .anyMatch(
                    branch ->
                        branch.directTarget().isPresent()
                            && branch.directTarget().getAsLong() == address);
    if (!isReached) {
      throw refusal(
          decoder,
          9,
          before,
          "control never goes on behind it, and what stands there is needed too: it may be data,"
              + " or code that others enter",
          "choose a site with more instructions before it");
    }
  }

  private static PlanRefusedException tooShort(
      InstructionDecoder decoder, CodeRegion code, int first, int minimum) {
    return refusal(
        decoder,
        9,
        read(decoder, code, first),
        "%d bytes are needed, and %s ends %d bytes behind the site, at 0x%x"
            .formatted(minimum, code.name(), code.bytes().length() - first, code.end()),
        "choose a site with more room behind it");
  }
}
