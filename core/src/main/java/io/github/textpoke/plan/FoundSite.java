package io.github.textpoke.plan;

import io.github.textpoke.CodeBytes;

/**
 * What stands at the site of a poke, judged by its bytes alone.
 *
 * @param poke the poke
 * @param found what stands at its site; fewer bytes than the site has where the rest can't be read
 * @param state what that is
 */
public record FoundSite(Poke poke, CodeBytes found, State state) {
  /** What the bytes at a site are. */
  public enum State {
    /** The whole old bytes; also where old and new ones are the same. */
    OLD,
    /** The whole new bytes. */
    NEW,
    /**
     * The breakpoint, and behind it a tail of which each byte is old or new, or the breakpoint on a
     * boundary inside: a poke that was cut off, wherever. A breakpoint that another tool has set on
     * the old or new bytes looks the same; only who knows that no poke is in progress can tell them
     * apart.
     */
    CUT_OFF,
    /** Bytes that no cut-off explains: somebody else wrote there, or they can't be read. */
    FOREIGN
  }

  /**
   * Judges the bytes at the site of {@code poke}.
   *
   * @param trapByte the one-byte breakpoint instruction, 0 to 255
   * @param found what stands there; fewer bytes than the site has where the rest can't be read
   */
  public static FoundSite of(int trapByte, Poke poke, CodeBytes found) {
    return new FoundSite(poke, found, state(trapByte, poke, found));
  }

  private static State state(int trapByte, Poke poke, CodeBytes found) {
    CodeBytes old = poke.site().bytes();
    CodeBytes fresh = poke.replacement();
    if (found.equals(old)) {
      return State.OLD;
    }
    if (found.equals(fresh)) {
      return State.NEW;
    }
    if (found.length() != old.length() || found.at(0) != trapByte) {
      return State.FOREIGN;
    }
    for (int i = 1; i < found.length(); i++) {
      boolean breakpoint = found.at(i) == trapByte && hasBoundary(poke, i);
      if (found.at(i) != old.at(i) && found.at(i) != fresh.at(i) && !breakpoint) {
        return State.FOREIGN;
      }
    }
    return State.CUT_OFF;
  }

  private static boolean hasBoundary(Poke poke, int offset) {
    return poke.interior().stream().anyMatch(boundary -> boundary.offset() == offset);
  }
}
