package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.DetourNote;
import io.github.textpoke.ledger.Ledger;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.PatchNote;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import java.util.List;
import java.util.Optional;
import java.util.function.LongPredicate;

/**
 * Takes sites out of a ledger whose code has gone with its mapping. Only the ledger is written. Of
 * one use, while nobody else can patch.
 */
final class GoneCode {
  private final Ledger ledger;
  private final LongPredicate isGone;

  /**
   * @param isGone tells of the absolute address of a site
   */
  GoneCode(Ledger ledger, LongPredicate isGone) {
    this.ledger = ledger;
    this.isGone = isGone;
  }

  /** Retires what is gone. */
  void retire() {
    for (LedgerEntry entry : ledger.read().entries()) {
      List<Poke> pokes = entry.plan().pokes();
      if (entry.progress().state() != State.RETIRED
          && pokes.stream().anyMatch(poke -> isGone.test(poke.address()))) {
        left(entry.plan())
            .ifPresentOrElse(
                plan -> narrow(entry, plan), () -> ledger.progress(entry, gone(entry)));
      }
    }
  }

  private static Progress gone(LedgerEntry entry) {
    return PatchRecord.goneState(entry.note());
  }

  private Optional<PatchPlan> left(PatchPlan plan) {
    ImmutableList<Poke> left =
        plan.pokes().stream()
            .filter(poke -> !isGone.test(poke.address()))
            .collect(ImmutableList.toImmutableList());
    return left.isEmpty() ? Optional.empty() : Optional.of(PatchPlan.of(plan.trapByte(), left));
  }

  /**
   * What is left gets a record of its own. A patcher that is cut off between the two leaves both,
   * and the sites of the older one are all covered by the newer.
   */
  private void narrow(LedgerEntry entry, PatchPlan plan) {
    PatchNote whole = entry.note();
    PatchNote note =
        new PatchNote(
            whole.time(),
            whole.who(),
            whole.label(),
            whole.engine(),
            plan,
            whole
                .detour()
                .flatMap(
                    detour ->
                        left(detour.bypass())
                            .map(bypass -> new DetourNote(bypass, detour.memory()))));
    Optional<LedgerEntry> added = ledger.add(note);
    ledger.progress(entry, new Progress(State.REVERTED, 0));
    // Where there was no room for both, there is now: it is shorter.
    LedgerEntry narrowed =
        added.orElseGet(
            () ->
                ledger
                    .add(note)
                    .orElseThrow(() -> new IllegalStateException("no room for " + note)));
    ledger.progress(narrowed, new Progress(entry.progress().state(), 0));
  }
}
