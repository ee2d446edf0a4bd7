package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.DamagedRecord;

/**
 * What the ledger of a process holds. Immutable.
 *
 * @param patches by number
 * @param damaged records that can't be read: somebody else has written there
 */
public record LedgerStatus(
    ImmutableList<PatchStatus> patches, ImmutableList<DamagedRecord> damaged) {}
