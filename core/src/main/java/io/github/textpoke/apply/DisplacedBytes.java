package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.Poke;

/** The code of a poke that has several instructions, as it may be found in a target. Stateless. */
final class DisplacedBytes {
  private DisplacedBytes() {}

  /**
   * Whether nothing but breakpoints of ours tells what stands at a site from its several
   * instructions: then threads may stand inside, and no other code must be written there.
   *
   * @param now as many bytes as the site has
   */
  static boolean standIn(CodeBytes now, Poke poke, int trapByte) {
    if (poke.interior().isEmpty()) {
      return false;
    }
    CodeBytes several = poke.displacedBytes();
    for (int i = 0; i < now.length(); i++) {
      if (now.at(i) != several.at(i) && !(now.at(i) == trapByte && isBoundary(poke, i))) {
        return false;
      }
    }
    return true;
  }

  private static boolean isBoundary(Poke poke, int offset) {
    if (offset == 0) {
      return true;
    }
    for (Boundary boundary : poke.interior()) {
      if (boundary.offset() == offset) {
        return true;
      }
    }
    return false;
  }
}
