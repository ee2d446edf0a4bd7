package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.plan.Step;

/**
 * What a test does to the steps of verified plans, and between them, to show that a failure is met,
 * or that a test can fail. Nobody else has one.
 */
interface Interference {
  /** None. */
  Interference NONE = new Interference() {};

  /** The steps that are done instead of {@code steps}. */
  default ImmutableList<Step> steps(ImmutableList<Step> steps) {
    return steps;
  }

  /**
   * Whether {@link #before} wants to be called: an engine that needs no JVM has to be told to wait.
   */
  default boolean pauses() {
    return false;
  }

  /**
   * Called before each step of a plan, but not of its rollback, while all threads that have trapped
   * wait; only if {@link #pauses}.
   */
  default void before(int step) {}
}
