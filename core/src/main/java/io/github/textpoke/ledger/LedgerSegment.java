package io.github.textpoke.ledger;

/**
 * A mapping of the target that holds a part of its ledger. One that is new holds zeros.
 *
 * @param start absolute address of the first byte, a multiple of 8
 * @param end absolute address behind the last byte
 */
public record LedgerSegment(long start, long end) {}
