package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.plan.FoundSite;

/**
 * What the ledger of a process says of one patch, and what stands at its sites. Immutable.
 *
 * @param entry the ledger's record: number, who, when, plan, state and the step reached
 * @param sites what stands at each site, in the order of the plan's pokes
 */
public record PatchStatus(LedgerEntry entry, ImmutableList<FoundSite> sites) {
  /** What a patch is. */
  public enum State {
    /**
     * Its new bytes stand at every site; where a breakpoint stays, it may sleep: the old ones stand
     * there while nobody takes its traps, as in a forked child.
     */
    APPLIED,
    /** Applying or reverting it is under way, or was cut off. */
    IN_PROGRESS,
    /**
     * As applied, but its code leads on to what it has replaced, since it was reverted under
     * another.
     */
    BYPASSED,
    /** It was reverted; its memory is held for threads that may still be in its code. */
    RETIRED,
    /** Some site holds other bytes than it has put there: another tool has changed it since. */
    CHANGED
  }

  private boolean stands(FoundSite site) {
    return site.state() == FoundSite.State.NEW
        || (site.state() == FoundSite.State.OLD && site.poke().stays(entry.plan().trapByte()));
  }

  /** What it is. A plan that is under way looks like one that was cut off. */
  public State state() {
    return switch (entry.progress().state()) {
      case APPLYING, REVERTING, BYPASSING -> State.IN_PROGRESS;
      case BYPASSED -> State.BYPASSED;
      case RETIRED -> State.RETIRED;
      default -> sites.stream().allMatch(this::stands) ? State.APPLIED : State.CHANGED;
    };
  }
}
