package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.Poke;
import java.util.ArrayList;
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
    return isCovered(id, standing);
  }

  /**
   * The bypassed patches that nothing stands over any more once {@code id} has gone, the newest
   * first. One whose other sites are covered stays.
   */
  ImmutableList<LedgerEntry> bypassedBelow(long id) {
    ImmutableList.Builder<LedgerEntry> free = ImmutableList.builder();
    List<LedgerEntry> left = new ArrayList<>(standing);
    left.removeIf(entry -> entry.id() == id);
    for (LedgerEntry entry : standing.reverse()) {
      if (entry.progress().state() == State.BYPASSED
          && entry.id() < id
          && !isCovered(entry.id(), left)) {
        free.add(entry);
        left.remove(entry);
      }
    }
    return free.build();
  }

  private static boolean isCovered(long id, List<LedgerEntry> among) {
    return among.stream()
        .filter(entry -> entry.id() == id)
        .anyMatch(
            entry -> among.stream().anyMatch(above -> above.id() > id && share(entry, above)));
  }

  /** Both lists are sorted by unsigned address, and no site overlaps another of its plan. */
  private static boolean share(LedgerEntry one, LedgerEntry other) {
    List<Poke> mine = one.plan().pokes();
    List<Poke> theirs = other.plan().pokes();
    int i = 0;
    int k = 0;
    while (i < mine.size() && k < theirs.size()) {
      Poke here = mine.get(i);
      Poke there = theirs.get(k);
      if (isBefore(here, there)) {
        i++;
      } else if (isBefore(there, here)) {
        k++;
      } else {
        return true;
      }
    }
    return false;
  }

  private static boolean isBefore(Poke one, Poke other) {
    return Long.compareUnsigned(one.address() + one.length() - 1, other.address()) < 0;
  }
}
