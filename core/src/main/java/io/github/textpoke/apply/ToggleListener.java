package io.github.textpoke.apply;

/** Hears of each poke of {@link TargetProcess#toggle}, on the thread that called. */
@FunctionalInterface
public interface ToggleListener {
  /**
   * One plan was applied, or reverted.
   *
   * @param nanos from the first comparison to the last core sync
   * @param windowNanos from the first breakpoint until the last thread that waited ran again
   * @param traps breakpoints that threads ran meanwhile
   * @param parked threads that waited
   * @return false to stop after the next revert
   */
  boolean poked(long nanos, long windowNanos, long traps, int parked);
}
