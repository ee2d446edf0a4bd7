package io.github.textpoke.x86.plan;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.encode.Assembly;

/** One instruction in place of one, by the rules. */
final class OneForOne {
  private final Reading reading;
  private final SiteRules siteRules;

  OneForOne(Reading reading, SiteRules siteRules) {
    this.reading = reading;
    this.siteRules = siteRules;
  }

  /**
   * The poke that puts {@code replacement} at {@code site}.
   *
   * @throws PlanRefusedException if one of the rules forbids it; by rule 7 or 9 if there is no
   *     room, with the nearest site where it could stand
   */
  Poke poke(long site, Assembly replacement) {
    OldCode old = siteRules.check(site);
    checkNotArmed(old);
    int needed = replacement.shortest(site);
    if (needed > old.length()) {
      throw new Displaced(reading, other -> isPossible(other, replacement))
          .refusal(old, replacement.toString(), needed);
    }
    return poke(old, replacement);
  }

  private Poke poke(OldCode old, Assembly replacement) {
    long site = old.site().address();
    CodeBytes bytes = replacement.at(site, old.length());
    Instruction fresh = new ReplacementRules(reading).check(old, bytes, isEntry(site));
    return new Poke(old.site(), old.now().length(), bytes, fresh.length(), new TrapAction.Rewind());
  }

  /** Whether {@code replacement} could stand at {@code site}: to name a better one, not to plan. */
  private boolean isPossible(long site, Assembly replacement) {
    try {
      OldCode old = siteRules.check(site);
      checkNotArmed(old);
      if (replacement.shortest(site) > old.length()) {
        return false;
      }
      poke(old, replacement);
      return true;
    } catch (PlanRefusedException refused) {
      return false; // the refusal that the user gets is that of the site that was asked for
    }
  }

  private void checkNotArmed(OldCode old) {
    if (old.isArmed()) {
      throw siteRules.refusal(
          Rules.BREAKPOINTS,
          old,
          "we armed a breakpoint there, whose traps somebody takes",
          "revert that patch first");
    }
  }

  /** Whether {@code site} is the first instruction of the function, ENDBR64 not counted. */
  private boolean isEntry(long site) {
    CodeRegion recovered = reading.recovered();
    long first = reading.decoder().decode(recovered, 0);
    return site == recovered.address()
        || (Decoded.isDecoded(first)
            && Decoded.flow(first) == Flow.LANDING_PAD
            && site == recovered.address() + Decoded.length(first));
  }
}
