package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;

/** Hears of a change that has to wait. Called by the thread that changes. */
@FunctionalInterface
public interface TransitionListener {
  /** Listens to nothing. */
  TransitionListener NONE = (tries, blockers) -> {};

  /**
   * Threads are in code that is to be left.
   *
   * @param tries how often it was tried
   * @param blockers each in words; empty where threads were only too slow
   */
  void blocked(int tries, ImmutableList<String> blockers);
}
