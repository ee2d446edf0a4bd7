package io.github.textpoke.apply;

/**
 * How applying one plan went.
 *
 * @param engine name of the engine that did it
 * @param nanos from the first comparison to the last core sync, in nanoseconds
 * @param traps breakpoints of ours that threads ran, late ones of earlier plans included
 * @param parked threads that waited at a site until its first byte was written
 * @param threads threads that were traced
 */
public record ApplyReport(String engine, long nanos, long traps, int parked, int threads) {}
