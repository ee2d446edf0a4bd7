package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import java.util.BitSet;
import java.util.OptionalLong;

/**
 * Who enters a site behind its first byte. Looks at every direct branch, call and xbegin of the
 * region, of the code before us and of our patches, at the known entry points, and at the
 * instructions that run from there until they fall in with those read from the start: hand-written
 * code jumps behind a lock prefix. Bytes that can't be read are skipped one at a time.
 */
final class BranchTargets {
  private final Reading reading;
  private final InstructionDecoder decoder;
  private final CodeRegion code;
  private final BitSet boundaries = new BitSet();
  private final BitSet branches = new BitSet();

  BranchTargets(Reading reading) {
    this.reading = reading;
    this.decoder = reading.decoder();
    this.code = reading.recovered();
    for (int at = 0; at < code.bytes().length(); ) {
      long decoded = decoder.decode(code, at);
      boundaries.set(at);
      branches.set(at, Decoded.branchWidth(decoded) != 0 && Decoded.isDecoded(decoded));
      at += Math.max(1, Decoded.length(decoded));
    }
  }

  /**
   * Refuses a site that somebody enters behind its first byte.
   *
   * @param site the old instruction
   */
  void checkNoneInside(Site site) {
    for (int at = branches.nextSetBit(0); at >= 0; at = branches.nextSetBit(at + 1)) {
      checkBranch(code, at, site);
    }
    for (Site ours : reading.code().originals()) {
      int at = code.offsetOf(ours.address());
      CodeRegion patch =
          CodeRegion.of(
              "patch", ours.address(), reading.code().bytes().slice(at, at + ours.length()));
      checkBranch(patch, 0, site);
    }
    for (long entry : code.entryPoints()) {
      if (isEnteredFrom(entry, site)) {
        throw inside(site, "an entry point 0x%x leads".formatted(entry));
      }
    }
  }

  private void checkBranch(CodeRegion from, int at, Site site) {
    long decoded = decoder.decode(from, at);
    if (!Decoded.isDecoded(decoded)) {
      return; // a patch of ours whose bytes somebody changed; its own planning refuses that
    }
    OptionalLong target = Instruction.of(from, at, decoded).directTarget();
    if (target.isPresent() && isEnteredFrom(target.getAsLong(), site)) {
      throw inside(
          site,
          "the branch at 0x%x (%s) leads"
              .formatted(from.address() + at, Reading.text(decoder, from, at)));
    }
  }

  /** Whether control that comes to {@code target} runs an instruction that begins inside. */
  private boolean isEnteredFrom(long target, Site site) {
    long at = target;
    while (code.contains(at) && !boundaries.get(code.offsetOf(at))) {
      if (Long.compareUnsigned(at, site.address()) > 0
          && Long.compareUnsigned(at, site.end()) < 0) {
        return true;
      }
      long decoded = decoder.decode(code, code.offsetOf(at));
      if (!Decoded.isDecoded(decoded) || Decoded.flow(decoded).endsFlow()) {
        return false;
      }
      at += Decoded.length(decoded);
    }
    return false;
  }

  private PlanRefusedException inside(Site site, String who) {
    return Rules.BOUNDARY.refusal(
        site.address(),
        reading.text(code.offsetOf(site.address())),
        who + " behind the site's first byte",
        "choose a site that nobody enters in the middle");
  }
}
