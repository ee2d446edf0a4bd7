package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;

/** Carries plans out, one after the other. What it tells is of the last one. */
interface Engine {
  /** Its name, for people. */
  String name();

  /**
   * Brings the target to the state behind the last step, or leaves or puts it back before the
   * first, and says which.
   *
   * @param recording how the ledger follows it
   * @throws PatchException with the outcome
   */
  void apply(CompiledPlan plan, Recording recording);

  /**
   * Holds the target's threads until {@link #endRecovery}; one that runs a breakpoint which nobody
   * knows waits until then.
   */
  void beginRecovery();

  /** Lets those that waited run again what stands at their sites now. */
  void endRecovery();

  /**
   * Maps memory of ours into the target, private to it; a child that is forked gets a copy.
   *
   * @param name the mapping's name in {@code /proc/PID/maps}, a few letters of ASCII
   * @param address absolute, of a page
   * @param size bytes, whole pages
   * @param protection of {@link TargetMappings}; never writable and executable
   * @return false, with nothing mapped, where something else is mapped there
   * @throws PatchException if the target does not allow it
   */
  boolean map(String name, long address, long size, int protection);

  /**
   * Writes to memory of ours that no thread runs yet. It is read-only to the target if it is code.
   *
   * @param address absolute
   */
  void fill(long address, CodeBytes bytes);

  /** From the first comparison to the last core sync, in nanoseconds. */
  long nanos();

  /**
   * From the first breakpoint until the last thread that waited at one runs again, in nanoseconds:
   * no thread has waited longer.
   */
  long windowNanos();

  /** Breakpoints of ours that threads ran, since the engine began. */
  long traps();

  /** Threads that waited at a site. */
  int parked();

  /** Threads that are traced. */
  int threads();

  /** How the bytes were written, where that is worth a word; else empty. */
  String remark();

  /**
   * Waits until {@code time}, and at least for a moment.
   *
   * @param time of {@link System#nanoTime}
   * @return {@code time}, or now where that is later
   */
  long pace(long time);

  /** Whether this stay is to end: a series of pokes ends with the old bytes. */
  boolean isLeaving();
}
