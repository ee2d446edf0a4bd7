package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.plan.Reading.Boundary;

/**
 * What stands at a site.
 *
 * @param site the bytes as they are now, ours if we patched it; of one instruction, or of all that
 *     a jump displaces
 * @param now the instruction that they begin with
 * @param before the instruction that stood there before we patched it; equal to {@code now} if we
 *     did not
 * @param previous the instruction in front of it, packed; 0 for the first of the region
 */
record OldCode(Site site, Instruction now, Instruction before, long previous) {
  /**
   * Reads it.
   *
   * @throws PlanRefusedException by rule 1, 6, 7, 9 or 19
   */
  static OldCode at(Reading reading, long address) {
    Boundary boundary = reading.boundary(address);
    Instruction before = boundary.instruction();
    Site original = new Site(address, before.bytes());
    CodeRegion code = reading.code();
    for (Site patched : code.originals()) {
      if (patched.overlaps(original)) {
        checkSame(reading, patched, original);
        return new OldCode(
            new Site(address, slice(code, original)),
            ours(reading, original),
            before,
            boundary.previous());
      }
    }
    return new OldCode(original, before, before, boundary.previous());
  }

  int length() {
    return site.length();
  }

  /** Whether we set a breakpoint there. */
  boolean isArmed() {
    return now.flow() == Flow.BREAKPOINT;
  }

  private static CodeBytes slice(CodeRegion code, Site site) {
    int offset = code.offsetOf(site.address());
    return code.bytes().slice(offset, offset + site.length());
  }

  private static void checkSame(Reading reading, Site patched, Site original) {
    if (patched.address() != original.address() || patched.length() != original.length()) {
      throw Rules.BATCH.refusal(
          original.address(),
          reading.text(reading.code().offsetOf(original.address())),
          "the site %s shares bytes with our earlier patch of %s".formatted(original, patched),
          "revert that patch first");
    }
  }

  /** The instruction of ours that a patched site begins with; behind it only padding. */
  private static Instruction ours(Reading reading, Site original) {
    CodeRegion code = reading.code();
    int offset = code.offsetOf(original.address());
    long decoded = reading.decoder().decode(code, offset);
    if (!Decoded.isDecoded(decoded) || Decoded.length(decoded) > original.length()) {
      throw Rules.BOUNDARY.refusal(
          original.address(),
          slice(code, original).hex(),
          "we patched this site, but what stands there now is no instruction of its length",
          "somebody else wrote there: find out who before you go on");
    }
    return Instruction.of(code, offset, decoded);
  }
}
