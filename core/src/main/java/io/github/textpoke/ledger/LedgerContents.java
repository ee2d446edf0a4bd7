package io.github.textpoke.ledger;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * What a ledger holds. Immutable.
 *
 * @param entries the patches that are not reverted, sorted by id
 * @param damaged what can't be relied on
 */
public record LedgerContents(
    ImmutableList<LedgerEntry> entries, ImmutableList<DamagedRecord> damaged) {

  /** The entry of the patch {@code id}, unless it is reverted or was never there. */
  public Optional<LedgerEntry> find(long id) {
    return entries.stream().filter(entry -> entry.id() == id).findFirst();
  }
}
