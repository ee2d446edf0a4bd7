package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.unwind.StackTrace;
import java.util.Optional;

/**
 * What became of a try to change a {@link Turn}. Immutable.
 *
 * @param isDone whether it was changed; else it is as it was
 * @param blockers threads that were in the code which is left when the try ended; empty where it
 *     was changed, or the wait was too long for those that waited
 * @param heldNanos how long threads may have waited at a gate, in nanoseconds; 0: it was not tried,
 *     since threads that are blocked would not have come out
 * @param stopped how often a thread was stopped for a look
 */
public record SwitchReport(
    boolean isDone, ImmutableList<Blocker> blockers, long heldNanos, int stopped) {
  /**
   * A thread that was in the way.
   *
   * @param thread its id
   * @param name its name
   * @param state what it does, in words
   * @param code absolute address in the code that is left, or in a gate: where it stands, or will
   *     return to; 0: it is not known where it is
   * @param returns whether it will return there
   * @param stackPointer absolute
   * @param doubt why it is not known for certain; empty: it is
   * @param trace its frames; empty: it ran on before they could be read
   */
  public record Blocker(
      int thread,
      String name,
      String state,
      long code,
      boolean returns,
      long stackPointer,
      String doubt,
      Optional<StackTrace> trace) {}
}
