package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import java.util.Optional;

/**
 * A kind of patch and whether it can be done at a site.
 *
 * @param kind which
 * @param refusal why not; empty where it can be done
 */
public record PatchOption(Kind kind, Optional<PlanRefusedException> refusal) {
  /** Kinds of patch. */
  public enum Kind {
    /** A NOP as long as the instruction. */
    NOP("nop"),
    /** A return. */
    RETURN("ret"),
    /** A jump to a target within 127 bytes. */
    SHORT_JUMP("short jump"),
    /** A jump to any target within 2 GiB. */
    JUMP("jump"),
    /** A call of any target within 2 GiB. */
    CALL("call"),
    /** An armed breakpoint. */
    BREAKPOINT("breakpoint");

    private final String words;

    Kind(String words) {
      this.words = words;
    }

    /** In words, fit for a table. */
    public String words() {
      return words;
    }
  }

  /** Whether it can be done. */
  public boolean isPossible() {
    return refusal.isEmpty();
  }
}
