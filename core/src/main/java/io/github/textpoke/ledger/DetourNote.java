package io.github.textpoke.ledger;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;

/**
 * What a ledger says of a patch that has brought code of its own into the target. Immutable.
 *
 * @param bypass makes that code lead on to what the patch has replaced: for a patch that is to go
 *     while another one stands over it. Each of its pokes is one instruction for one
 * @param memory what the code and its data take. Threads may run there after the patch is reverted,
 *     so it stays the patch's own until the record goes. Behind that, what else the code calls into
 */
public record DetourNote(PatchPlan bypass, ImmutableList<Extent> memory) {
  /** The most extents. */
  static final int MOST_EXTENTS = 0xffff;

  /** Checks that the bypass displaces nothing. */
  public DetourNote {
    for (Poke poke : bypass.pokes()) {
      checkArgument(
          poke.interior().isEmpty(), "a bypass is one instruction for one, not: %s", poke);
    }
    checkArgument(memory.size() <= MOST_EXTENTS, "%s extents", memory.size());
  }
}
