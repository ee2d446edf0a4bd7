package io.github.textpoke.x86.encode;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;

/** Displacements of direct branches: signed, from the address behind the instruction. */
final class Displacement {
  private Displacement() {}

  /** Whether a branch that ends at {@code end} reaches {@code target} with one signed byte. */
  static boolean fitsByte(long end, long target) {
    long distance = target - end;
    return distance == (byte) distance;
  }

  /**
   * The four bytes of a displacement.
   *
   * @param text the instruction, for the message
   * @throws PlanRefusedException by rule 13 if it does not fit 32 bits, signed
   */
  static CodeBytes dword(long address, long end, long target, String text) {
    long distance = target - end;
    if (distance != (int) distance) {
      throw new PlanRefusedException(
          13,
          address,
          text,
          "the target is "
              + (distance < 0 ? "more than 2 GiB below" : "more than 2 GiB above")
              + " the site: its displacement does not fit 32 bits",
          "jump to code within 2 GiB of the site, and from there to the target");
    }
    return CodeBytes.of(
        (byte) distance, (byte) (distance >> 8), (byte) (distance >> 16), (byte) (distance >> 24));
  }
}
