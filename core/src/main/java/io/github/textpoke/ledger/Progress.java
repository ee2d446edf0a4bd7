package io.github.textpoke.ledger;

import static com.google.common.base.Preconditions.checkArgument;

import org.jspecify.annotations.Nullable;

/**
 * How far a patch is. In the target it is one aligned 64-bit word, so that native code notes a step
 * by one plain store.
 *
 * @param state what is being done, or was done
 * @param step how many steps of the plan in progress are complete, from 0. The step after them may
 *     be complete as well, since the word is written behind it; what stands at a site is told by
 *     its bytes alone
 */
public record Progress(State state, int step) {
  /** What is being done to a patch, or was done. */
  public enum State {
    /** Its plan is in progress, or being rolled back. */
    APPLYING("work"),
    /** The new bytes stand. */
    APPLIED("done"),
    /** The plan's inverse is in progress, or being rolled back. */
    REVERTING("back"),
    /** Its bypass is in progress, or being rolled back. */
    BYPASSING("skip"),
    /** Its bypass stands: under a newer patch its code leads on to what it has replaced. */
    BYPASSED("past"),
    /** The old bytes stand; threads may still run code that it has brought along. */
    RETIRED("held"),
    /** The old bytes stand; the space of the record is free. */
    REVERTED("free");

    private final int mark;

    /**
     * @param word four letters, which a dump of the ledger shows
     */
    State(String word) {
      int bits = 0;
      for (int i = 3; i >= 0; i--) {
        bits = bits << 8 | word.charAt(i);
      }
      mark = bits;
    }
  }

  /** Checks that the step is not negative. */
  public Progress {
    checkArgument(step >= 0, "step %s", step);
  }

  /** The word: the mark of the state in the high half, the step in the low half. */
  public long word() {
    return (long) state.mark << 32 | step;
  }

  /** What {@code word} says; {@code null} if it is no such word. */
  public static @Nullable Progress of(long word) {
    int step = (int) word;
    for (State state : State.values()) {
      if (state.mark == (int) (word >>> 32) && step >= 0) {
        return new Progress(state, step);
      }
    }
    return null;
  }
}
