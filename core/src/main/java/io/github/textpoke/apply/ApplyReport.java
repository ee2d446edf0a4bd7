package io.github.textpoke.apply;

/**
 * How applying one plan went.
 *
 * @param engine name of the engine that did it
 * @param remark why it was not the poker, and how the bytes of a batch were written; may be empty
 * @param nanos from the first comparison to the last core sync, in nanoseconds
 * @param windowNanos from the first breakpoint until the last thread that waited at one ran again,
 *     in nanoseconds: no thread has waited longer
 * @param traps breakpoints of ours that threads ran, late ones of earlier plans included
 * @param parked threads that waited at a site until its first byte was written
 * @param threads threads that were traced
 */
public record ApplyReport(
    String engine,
    String remark,
    long nanos,
    long windowNanos,
    long traps,
    int parked,
    int threads) {}
