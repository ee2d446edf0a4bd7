package io.github.textpoke.ledger;

/**
 * A part of a ledger that can't be relied on. It is not written, but for the highest id, which the
 * next patch sets anew.
 *
 * @param address absolute address of the record, or of the segment
 * @param reason what is wrong, in words
 */
public record DamagedRecord(long address, String reason) {}
