package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.plan.FoundSite;

/**
 * What became of a patch that was cut off.
 *
 * @param entry the ledger's record, as it was found
 * @param result what became of it
 * @param foreign sites that hold bytes which no cut-off explains: they were left alone
 */
public record RecoveredPatch(LedgerEntry entry, Result result, ImmutableList<FoundSite> foreign) {
  /** What became of it. */
  public enum Result {
    /** The new bytes stand at every site. */
    FINISHED,
    /** The old bytes stand at every site. */
    ROLLED_BACK,
    /** Sites that nobody else has changed hold their old bytes; the record stays. */
    LEFT
  }
}
