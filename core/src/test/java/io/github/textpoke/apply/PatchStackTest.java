package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.PatchNote;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.time.Instant;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class PatchStackTest {
  private static final int INT3 = 0xcc;

  /** Of five bytes at each of the addresses. */
  private static LedgerEntry patch(long id, State state, long... sites) {
    List<Poke> pokes =
        LongStream.of(sites)
            .mapToObj(
                site ->
                    new Poke(
                        new Site(site, CodeBytes.ofHex("0f 1f 44 00 00")),
                        5,
                        CodeBytes.ofHex("e9 11 22 33 44"),
                        5,
                        new TrapAction.Rewind()))
            .toList();
    PatchNote note = new PatchNote(Instant.EPOCH, "me", "f", "poker", PatchPlan.of(INT3, pokes));
    return new LedgerEntry(0x1000 * id, id, note, new Progress(state, 0));
  }

  private static List<Long> ids(List<LedgerEntry> entries) {
    return entries.stream().map(LedgerEntry::id).toList();
  }

  @Test
  void isCoveredByANewerPatchOverAnyOfItsSites() {
    PatchStack stack =
        new PatchStack(
            List.of(
                patch(1, State.APPLIED, 0x400, 0x500, 0x600),
                patch(2, State.APPLIED, 0x300, 0x604),
                patch(3, State.APPLIED, 0x505)));
    assertThat(stack.isCovered(1)).isTrue();
    assertThat(stack.isCovered(2)).isFalse();
    assertThat(stack.isCovered(3)).isFalse();
  }

  @Test
  void isNotCoveredByOneWhoseOldBytesStandAgain() {
    PatchStack stack =
        new PatchStack(
            List.of(patch(1, State.APPLIED, 0x400, 0x500), patch(2, State.RETIRED, 0x500)));
    assertThat(stack.isCovered(1)).isFalse();
  }

  @Test
  void addressesCountWithoutASign() {
    PatchStack stack =
        new PatchStack(
            List.of(
                patch(1, State.APPLIED, 0x400, 0xffff_ffff_8000_0000L),
                patch(2, State.APPLIED, 0xffff_ffff_8000_0000L)));
    assertThat(stack.isCovered(1)).isTrue();
  }

  @Test
  void aBypassedPatchStaysWhileAnotherOfItsSitesIsCovered() {
    List<LedgerEntry> entries =
        List.of(
            patch(1, State.BYPASSED, 0x400, 0x500),
            patch(2, State.APPLIED, 0x400),
            patch(3, State.APPLIED, 0x500));
    PatchStack stack = new PatchStack(entries);
    assertThat(stack.bypassedBelow(2)).isEmpty();
    assertThat(ids(new PatchStack(entries.subList(0, 2)).bypassedBelow(2))).containsExactly(1L);
  }

  @Test
  void allBypassedPatchesGoWithTheOneAboveThemTheNewestFirst() {
    PatchStack stack =
        new PatchStack(
            List.of(
                patch(1, State.BYPASSED, 0x400),
                patch(2, State.BYPASSED, 0x400, 0x500),
                patch(3, State.BYPASSED, 0x500, 0x600),
                patch(4, State.APPLIED, 0x600),
                patch(5, State.APPLIED, 0x700)));
    assertThat(ids(stack.bypassedBelow(4))).containsExactly(3L, 2L, 1L);
    assertThat(stack.bypassedBelow(5)).isEmpty();
  }

  @Test
  void whatStandsUnbypassedBelowKeepsThoseUnderIt() {
    PatchStack stack =
        new PatchStack(
            List.of(
                patch(1, State.BYPASSED, 0x400),
                patch(2, State.APPLIED, 0x400),
                patch(3, State.APPLIED, 0x400)));
    assertThat(stack.bypassedBelow(3)).isEmpty();
    assertThat(ids(stack.bypassedBelow(2))).isEmpty();
  }
}
