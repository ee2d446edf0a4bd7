package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.Extent;
import java.time.Duration;

/**
 * A change of a {@link Turn} at a moment at which no thread is in the code that is left. Immutable.
 *
 * @param turn absolute address of the word, a multiple of 4
 * @param toNew whether to {@link Turn#NEW}, else to {@link Turn#OLD}
 * @param left the code that no thread may be in: by its instruction pointer, or by a return address
 *     on its stack
 * @param gates the code that reads the turn
 * @param hold how long threads that come to a gate may have to wait, at most
 */
public record TurnSwitch(
    long turn,
    boolean toNew,
    ImmutableList<Extent> left,
    ImmutableList<Gate> gates,
    Duration hold) {
  /** Checks the alignment. */
  public TurnSwitch {
    checkArgument(turn % Integer.BYTES == 0, "a turn at %s", turn);
  }

  /** As this, with another time that threads may have to wait. */
  public TurnSwitch holding(Duration value) {
    return new TurnSwitch(turn, toNew, left, gates, value);
  }

  /**
   * Code that reads the turn. A thread that has read it and has not gone on yet counts as in what
   * is left, unless it waits.
   *
   * @param code all of it
   * @param waiting the part of it that a thread runs over and over while it waits: there its stack
   *     is always the same, and it reads the turn again
   * @param depth bytes of its stack there below the return address
   * @param toOld absolute address in {@code code} where a thread that waits can be sent, with the
   *     registers that it has, to go on in the old code
   * @param toNew likewise, in the new code
   */
  public record Gate(Extent code, Extent waiting, int depth, long toOld, long toNew) {}
}
