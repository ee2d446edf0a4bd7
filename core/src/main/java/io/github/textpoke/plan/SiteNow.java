package io.github.textpoke.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.Step.Write;

/**
 * What stands at the site of a poke. Immutable.
 *
 * @param bytes as many as the site has
 * @param occupied whether a thread may stand inside, on a boundary of the several instructions
 */
record SiteNow(Poke poke, CodeBytes bytes, boolean occupied) {
  /** Before the poke: threads run the old code. */
  static SiteNow before(Poke poke) {
    return new SiteNow(poke, poke.site().bytes(), poke.displaces());
  }

  /** Bytes that were found, and nothing else is known. */
  static SiteNow found(Poke poke, CodeBytes bytes) {
    return new SiteNow(poke, bytes, !poke.interior().isEmpty());
  }

  /** Once {@code write} is complete; it lies in the site. */
  SiteNow after(Write write) {
    CodeBytes now = bytes.with((int) (write.address() - poke.address()), write.bytes());
    return new SiteNow(poke, now, occupied);
  }

  /** Whether threads run the several instructions from the first one on. */
  boolean isEntered() {
    return !poke.interior().isEmpty() && bytes.at(0) == poke.displacedBytes().at(0);
  }

  /** Once threads run the several instructions of {@code other}, which may lead inside. */
  SiteNow enteredFrom(Poke other) {
    boolean alike = poke.displaces() && other.displaces() || poke.restores() && other.restores();
    return new SiteNow(poke, bytes, occupied || alike);
  }

  /** Once it is evacuated. */
  SiteNow evacuated() {
    return new SiteNow(poke, bytes, false);
  }

  /** The way to {@code goal}, the old or the new bytes of the poke. */
  Change to(CodeBytes goal) {
    boolean evacuates = occupied && !goal.equals(poke.displacedBytes());
    return new Change(poke, bytes, goal, evacuates);
  }
}
