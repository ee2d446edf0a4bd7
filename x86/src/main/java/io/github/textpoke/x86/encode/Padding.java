package io.github.textpoke.x86.encode;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.Decoded;

/** Makes an instruction as long as its site, without a boundary that a thread can reach. */
final class Padding {
  private static final int INT3 = 0xcc;
  private static final int CS = 0x2e;

  /** es, ss, ds (also a branch hint, and notrack), fs, gs. */
  private static final ImmutableSet<Integer> OTHER_SEGMENTS =
      ImmutableSet.of(0x26, 0x36, 0x3e, 0x64, 0x65);

  /** Prefixes that may stand in front of a segment override: those of SDM vol. 2, 2.1.1. */
  private static final ImmutableSet<Integer> OTHER_PREFIXES =
      ImmutableSet.of(CS, 0x66, 0x67, 0xf0, 0xf2, 0xf3);

  private Padding() {}

  /** Refuses what is no length of an instruction, and a site that is too short. */
  static void checkRoom(Assembly assembly, long address, int length) {
    checkArgument(length >= 1 && length <= 15, "no length of an instruction: %s", length);
    int shortest = assembly.shortest(address);
    if (length < shortest) {
      throw new PlanRefusedException(
          7,
          address,
          assembly.toString(),
          "it needs "
              + shortest
              + " bytes and the instruction there has "
              + length
              + ": it would run into the one behind it",
          "choose a site whose one instruction has at least " + shortest + " bytes");
    }
  }

  /** {@code instruction}, which never goes on to the next one, and int3 behind it. */
  static CodeBytes unreachable(CodeBytes instruction, int length) {
    return instruction.concat(CodeBytes.filled(length - instruction.length(), INT3));
  }

  /** {@code instruction} with ignored prefixes in front. */
  static CodeBytes prefixed(CodeBytes instruction, int length) {
    return CodeBytes.filled(length - instruction.length(), CS).concat(instruction);
  }

  /** Whether all bytes from {@code from} on are int3. */
  static boolean isOnlyPadding(CodeBytes bytes, int from) {
    for (int i = from; i < bytes.length(); i++) {
      if (bytes.at(i) != INT3) {
        return false;
      }
    }
    return true;
  }

  /**
   * Refuses an instruction for which a cs prefix is not just ignored, or that {@code cs} would
   * carry to another place: a RIP-relative operand and a branch count from the instruction's end.
   */
  static void checkPrefixable(CodeBytes instruction, long decoded, long address, int length) {
    String obstacle = obstacle(instruction, decoded);
    if (!obstacle.isEmpty()) {
      throw new PlanRefusedException(
          3,
          address,
          instruction.hex(),
          "the new instruction has "
              + instruction.length()
              + " bytes, the site "
              + length
              + ", and it can't be made longer: "
              + obstacle,
          "give an encoding of exactly "
              + length
              + " bytes, or choose a site of "
              + instruction.length());
    }
  }

  /** Why a prefix would change what it does; empty where it would not. */
  private static String obstacle(CodeBytes instruction, long decoded) {
    return switch (Decoded.flow(decoded)) {
      case CONDITIONAL_JUMP, COUNTER_JUMP ->
          "a prefix in front of a conditional jump may be read as a branch hint";
      case TRANSACTION -> "xbegin takes no prefix";
      case LANDING_PAD -> "endbr64 with a prefix is no endbr64";
      case SYSTEM_CALL, INTERRUPT, BREAKPOINT, FAR -> "the kernel counts on its length";
      case JUMP, INDIRECT_JUMP, RETURN, FAULT -> "it never goes on, so int3 behind it will do";
      case NEXT, NOP, CALL, INDIRECT_CALL -> {
        if (Decoded.branchWidth(decoded) != 0 || Decoded.ripWidth(decoded) != 0) {
          yield "it counts from its own end, which a prefix would move, so the bytes given would"
              + " mean another address";
        }
        yield Decoded.hasSegment(decoded) && hasOtherSegmentThanCs(instruction)
            ? "it has a segment override already, and only the last of two counts"
            : "";
      }
    };
  }

  private static boolean hasOtherSegmentThanCs(CodeBytes instruction) {
    for (int i = 0; i < instruction.length(); i++) {
      if (OTHER_SEGMENTS.contains(instruction.at(i))) {
        return true;
      }
      if (!OTHER_PREFIXES.contains(instruction.at(i))) {
        return false;
      }
    }
    return false;
  }
}
