package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.Poke;
import java.util.Comparator;
import java.util.List;

/** Which patches of a target stand over which. */
final class PatchStack {
  private final ImmutableList<LedgerEntry> standing;

  PatchStack(List<LedgerEntry> entries) {
    standing =
        entries.stream()
            .filter(entry -> entry.progress().state() != State.RETIRED)
            .sorted(Comparator.comparingLong(LedgerEntry::id))
            .collect(ImmutableList.toImmutableList());
  }

  /** Whether a newer patch stands over a site of this one. */
  boolean isCovered(long id) {
    return standing.stream()
        .anyMatch(
            above ->
                above.id() > id
                    && standing.stream()
                        .anyMatch(entry -> entry.id() == id && share(entry, above)));
  }

  /**
   * The bypassed patches that nothing stands over any more once {@code id} has gone: from the
   * newest down to the first that is not bypassed.
   */
  ImmutableList<LedgerEntry> bypassedBelow(long id) {
    ImmutableList.Builder<LedgerEntry> free = ImmutableList.builder();
    List<LedgerEntry> gone = standing.stream().filter(entry -> entry.id() == id).toList();
    for (LedgerEntry entry : standing.reverse()) {
      boolean below = entry.id() < id && gone.stream().anyMatch(above -> share(entry, above));
      if (below && entry.progress().state() != State.BYPASSED) {
        break;
      }
      if (below) {
        free.add(entry);
      }
    }
    return free.build();
  }

  private static boolean share(LedgerEntry one, LedgerEntry other) {
    return one.plan().pokes().stream()
        .anyMatch(mine -> other.plan().pokes().stream().anyMatch(poke -> share(mine, poke)));
  }

  private static boolean share(Poke one, Poke other) {
    return one.address() < other.address() + other.length()
        && other.address() < one.address() + one.length();
  }
}
