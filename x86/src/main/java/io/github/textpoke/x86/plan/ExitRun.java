package io.github.textpoke.x86.plan;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableSet;
import io.github.textpoke.decode.CodeRegion;

/**
 * Instructions of a function, one behind the other, the last of which is an exit: those that a jump
 * there displaces. Absolute addresses.
 *
 * @param code the function, or the part of it, with padding behind it; as it stands now
 * @param start of the first instruction
 * @param end behind the last one; a jump that needs more bytes stands in padding, too
 * @param exits of the instructions among them by which control may leave the function
 */
public record ExitRun(CodeRegion code, long start, long end, ImmutableSet<Long> exits) {
  /** Bytes of a jump to anywhere in reach. */
  static final int JUMP = 5;

  /** Checks the addresses. */
  public ExitRun {
    checkArgument(start < end && code.contains(start), "a run from %s to %s", start, end);
    for (long exit : exits) {
      checkArgument(exit >= start && exit < end, "an exit at %s from %s to %s", exit, start, end);
    }
  }

  /** Bytes of its instructions. */
  public int length() {
    return (int) (end - start);
  }

  /** Bytes that the jump takes. */
  public int displacedLength() {
    return Math.max(JUMP, length());
  }
}
