package io.github.textpoke.ledger;

import io.github.textpoke.plan.PatchPlan;

/**
 * A patch as a ledger records it.
 *
 * @param address absolute address of the record
 * @param id number of the patch in its target, from 1; not given to another one while the segment
 *     that holds it is mapped
 * @param note what never changes
 * @param progress how far it was when the ledger was read
 */
public record LedgerEntry(long address, long id, PatchNote note, Progress progress) {
  /** What was applied. */
  public PatchPlan plan() {
    return note.plan();
  }

  /** The absolute address of the word that holds the {@link #progress}, a multiple of 8. */
  public long progressAddress() {
    return address + LedgerLayout.PROGRESS;
  }
}
