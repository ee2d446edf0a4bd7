package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Locale;

/**
 * Why the entry of a function can't be detoured, in few words and without addresses: to be counted.
 *
 * @param rule number of the rule in the README's table
 * @param words the same for all functions that are refused for the same reason
 */
public record DetourReason(int rule, String words) implements Comparable<DetourReason> {
  private static final Comparator<DetourReason> ORDER =
      Comparator.comparingInt(DetourReason::rule).thenComparing(DetourReason::words);

  /**
   * The reason of a refusal, by its rule and by what stands where it points.
   *
   * @param code the function whose entry was to be detoured
   */
  static DetourReason of(
      InstructionDecoder decoder, CodeRegion code, PlanRefusedException refused) {
    Rules rule =
        Arrays.stream(Rules.values())
            .filter(candidate -> candidate.number() == refused.rule())
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException("no rule of ours", refused));
    return new DetourReason(
        refused.rule(),
        switch (rule) {
          case BOUNDARY -> "what stands at the entry can't be read, or is entered in the middle";
          case DISPLACING -> entrance(decoder, code, refused.address());
          case DISPLACED_CALL -> "an instruction at the entry may not run elsewhere";
          case ROOM -> "fewer than 5 bytes of code to displace";
          case REACH -> "something is out of reach of the copy";
          case LANDING_PAD -> "an endbr64 would be displaced";
          case SPECIAL -> "a system call, a fault, or the like at the entry";
          case RSEQ -> "a restartable sequence at the entry";
          case BREAKPOINTS -> "a breakpoint at the entry";
          case SAME_LENGTH,
              PADDING,
              WINDOW,
              NOP_BY_DECODING,
              BATCH,
              QUIESCENCE,
              INTERIOR,
              RED_ZONE,
              SITE_CLASS,
              PRIVATE_ONLY,
              SYMBOLS,
              RETURN_OVERRIDE,
              TRAMPOLINES,
              UNDO ->
              rule.name().toLowerCase(Locale.ROOT).replace('_', ' ');
        });
  }

  /** Rule 7: who enters behind the first byte, or may. */
  private static String entrance(InstructionDecoder decoder, CodeRegion code, long who) {
    if (!code.contains(who)) {
      return "other code of the object leads there, or may";
    }
    long decoded = decoder.decode(code, code.offsetOf(who));
    if (!Decoded.isDecoded(decoded)) {
      return "not all of the function can be read";
    }
    if (Decoded.flow(decoded) == Flow.INDIRECT_JUMP) {
      return "an indirect jump of the function may lead there";
    }
    return Decoded.branchWidth(decoded) != 0
        ? "a branch of the function leads there"
        : "an address, a symbol or unwind information names a place there";
  }

  @Override
  public int compareTo(DetourReason other) {
    return ORDER.compare(this, other);
  }
}
