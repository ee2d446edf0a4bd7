package io.github.textpoke.ledger;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.verify.PlanKinds;
import io.github.textpoke.verify.PlanKinds.Kind;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class LedgerTest {
  private static final long START = 0x7f00_0000_0000L;
  private static final Progress APPLIED = new Progress(State.APPLIED, 0);
  private static final Progress REVERTED = new Progress(State.REVERTED, 0);

  private final TargetBytes target = new TargetBytes(START, 4096);
  private final Ledger ledger = target.ledger();

  private static LedgerEntry add(Ledger ledger, PatchNote note) {
    return ledger.add(note).orElseThrow();
  }

  @Test
  void aNewSegmentHoldsNothing() {
    assertThat(ledger.read()).isEqualTo(new LedgerContents(ImmutableList.of(), ImmutableList.of()));
  }

  @Test
  void recordsAPatchAsApplyingWithoutAStep() {
    PatchNote note = Notes.of(1);

    LedgerEntry entry = add(ledger, note);

    assertThat(entry.id()).isEqualTo(1);
    assertThat(entry.note()).isEqualTo(note);
    assertThat(entry.plan()).isEqualTo(note.plan());
    assertThat(entry.progress()).isEqualTo(new Progress(State.APPLYING, 0));
    assertThat(ledger.read().entries()).containsExactly(entry);
    assertThat(ledger.read().damaged()).isEmpty();
  }

  @Test
  void readsEveryKindOfPlanBackEqual() {
    for (int length : new int[] {1, 2, 5, 15}) {
      for (Kind kind : PlanKinds.all(0xffff_ffff_ff60_0ffeL, length)) {
        TargetBytes fresh = new TargetBytes(START, 4096);
        PatchNote note = Notes.of(kind.toString(), kind.plan());

        LedgerEntry entry = add(fresh.ledger(), note);

        assertThat(fresh.ledger().read().entries()).containsExactly(entry);
        assertThat(fresh.ledger().read().entries().get(0).note()).isEqualTo(note);
      }
    }
  }

  @Test
  void readsTheEndsOfTimeBackEqual() {
    for (long millis : new long[] {Long.MIN_VALUE, -1, 0, Long.MAX_VALUE}) {
      PatchPlan plan = Notes.of(1).plan();
      PatchNote note = new PatchNote(Instant.ofEpochMilli(millis), "", "", "", plan);

      LedgerEntry entry = add(ledger, note);

      assertThat(entry.note()).isEqualTo(note);
      assertThat(ledger.read().find(entry.id())).contains(entry);
    }
  }

  @Test
  void aWordOfNativeCodeTellsTheProgress() {
    LedgerEntry entry = add(ledger, Notes.of(1));
    int at = (int) (entry.progressAddress() - START);
    assertThat(at % 8).isZero();

    // work, step 3, as a poker stores it
    System.arraycopy(CodeBytes.ofHex("03000000 776f726b").toByteArray(), 0, target.bytes, at, 8);

    assertThat(ledger.read().find(1).orElseThrow().progress())
        .isEqualTo(new Progress(State.APPLYING, 3));
  }

  @Test
  void forgetsAPatchThatIsReverted() {
    LedgerEntry first = add(ledger, Notes.of(1));
    LedgerEntry second = add(ledger, Notes.of(2));

    ledger.progress(first, REVERTED);
    ledger.progress(second, APPLIED);

    assertThat(ledger.read().entries())
        .containsExactly(new LedgerEntry(second.address(), 2, second.note(), APPLIED));
    assertThat(ledger.read().find(1)).isEmpty();
  }

  @Test
  void neverGivesAnIdTwice() {
    for (int id = 1; id <= 50; id++) {
      LedgerEntry entry = add(target.ledger(), Notes.of(1));
      assertThat(entry.id()).isEqualTo(id);
      target.ledger().progress(entry, REVERTED);
    }
    assertThat(ledger.read().entries()).isEmpty();
  }

  @Test
  void givesTheNextIdOfAllSegments() {
    TargetBytes both = new TargetBytes(START, 8192);
    LedgerSegment low = new LedgerSegment(START, START + 4096);
    LedgerSegment high = new LedgerSegment(START + 4096, START + 8192);
    for (int i = 0; i < 7; i++) {
      add(new Ledger(both, List.of(high)), Notes.of(1));
    }

    LedgerEntry entry = add(new Ledger(both, List.of(low, high)), Notes.of(1));

    assertThat(entry.id()).isEqualTo(8);
    assertThat(entry.address()).isEqualTo(START + 32);
    assertThat(new Ledger(both, List.of(high, low)).read().entries())
        .extracting(LedgerEntry::id)
        .containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L);
  }

  @Test
  void usesTheSpaceOfNeighboursThatAreReverted() {
    List<LedgerEntry> entries = new ArrayList<>();
    Optional<LedgerEntry> next = ledger.add(Notes.of(3));
    while (next.isPresent()) {
      entries.add(next.get());
      next = ledger.add(Notes.of(3));
    }
    ledger.progress(entries.get(3), REVERTED);
    ledger.progress(entries.get(5), REVERTED);
    assertThat(ledger.add(Notes.of(7))).as("two gaps that are no neighbours").isEmpty();
    ledger.progress(entries.get(4), REVERTED);

    LedgerEntry entry = add(ledger, Notes.of(7));

    assertThat(entry.address()).isEqualTo(entries.get(3).address());
    LedgerContents contents = ledger.read();
    assertThat(contents.damaged()).isEmpty();
    assertThat(contents.entries())
        .hasSize(entries.size() - 2)
        .contains(entry)
        .contains(entries.get(2), entries.get(6));
  }

  @Test
  void writesNothingWhereThereIsNoRoom() {
    add(ledger, Notes.of(1));
    long written = target.written();

    assertThat(ledger.add(Notes.of(200))).isEmpty();
    assertThat(new Ledger(target, List.of()).add(Notes.of(1))).isEmpty();

    assertThat(target.written()).isEqualTo(written);
  }

  @Test
  void aSegmentOfTheSizeThatItNamesHasRoom() {
    for (int sites : new int[] {1, 100, 10_000, 100_000}) {
      PatchNote note = Notes.of(sites);
      TargetBytes large = new TargetBytes(START, Ledger.segmentSize(note));

      LedgerEntry entry = add(large.ledger(), note);

      assertThat(large.ledger().read().entries()).containsExactly(entry);
    }
    assertThat(Ledger.segmentSize(Notes.of(1))).isEqualTo(65536);
    assertThatThrownBy(() -> Ledger.segmentSize(Notes.of(500_000)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("is too long");
  }

  @Test
  void fillsASegmentToItsLastByte() {
    int record = Ledger.segmentSize(Notes.of(2000)) - 32;
    for (int spare = 0; spare <= 32; spare += 8) {
      TargetBytes exact = new TargetBytes(START, 32 + record + spare);

      LedgerEntry entry = add(exact.ledger(), Notes.of(2000));
      assertThat(exact.ledger().read().entries()).containsExactly(entry);
      exact.ledger().progress(entry, REVERTED);
      LedgerEntry again = add(exact.ledger(), Notes.of(2000));

      assertThat(exact.ledger().read())
          .isEqualTo(new LedgerContents(ImmutableList.of(again), ImmutableList.of()));
    }
    assertThat(new TargetBytes(START, 32 + record - 8).ledger().add(Notes.of(2000))).isEmpty();
  }

  @Test
  void tellsHowMuchRoomIsMissingForPatchesThatAreToCome() {
    List<PatchNote> coming = List.of(Notes.of(2000), Notes.of(3000));

    int missing = ledger.missingRoom(coming);
    TargetBytes large = new TargetBytes(START, missing);

    assertThat(missing).isGreaterThan(Ledger.segmentSize(Notes.of(2000)));
    assertThat(large.ledger().missingRoom(coming)).isZero();
    coming.forEach(note -> add(large.ledger(), note));
    assertThat(large.ledger().read().entries()).hasSize(2);
    assertThat(large.ledger().missingRoom(List.of(Notes.of(2000))))
        .isEqualTo(Ledger.segmentSize(Notes.of(2000)));
  }

  @Test
  void whatHasChangedSinceItWasReadIsReadAgain() {
    LedgerEntry first = add(ledger, Notes.of(1));
    LedgerEntry second = add(ledger, Notes.labelled("another", 3));
    assertThat(ledger.read().entries()).containsExactly(first, second);

    ledger.progress(first, APPLIED);
    assertThat(ledger.read().entries())
        .extracting(LedgerEntry::progress)
        .containsExactly(APPLIED, second.progress());
    assertThat(ledger.read().entries().get(1).note()).isSameAs(second.note());

    target.bytes[(int) (second.address() - START) + LedgerLayout.NOTE + 12] ^= 1;
    assertThat(ledger.read().entries()).hasSize(1);
    assertThat(ledger.read().damaged()).hasSize(1);
    target.bytes[(int) (second.address() - START) + LedgerLayout.NOTE + 12] ^= 1;
    assertThat(ledger.read().damaged()).isEmpty();
    assertThat(ledger.read().entries().get(1)).isEqualTo(second);
  }

  @Test
  void aNoteThatAnotherOneWithTheSameChecksumHasReplacedIsReadAgain() throws Exception {
    byte[] one = new byte[(int) NoteBytes.length(Notes.of(1))];
    byte[] other = one.clone();
    NoteBytes.write(ByteBuffer.wrap(one).order(LITTLE_ENDIAN), 1, Notes.of(1));
    NoteBytes.write(ByteBuffer.wrap(other).order(LITTLE_ENDIAN), 2, Notes.of(1));
    ReadSegment read = new ReadSegment(target.segment().get(0));

    read.wrote(one, 0, one.length, 7, 1, Notes.of(1));

    assertThat(read.note(one, 0, one.length, 7).id()).isEqualTo(1);
    assertThat(read.note(other, 0, other.length, 7).id()).isEqualTo(2);
  }

  /** The format is read by other releases: this changes with its version only. */
  @Test
  void theFormatIsThatOfVersionOne() {
    add(ledger, Notes.of(1));

    String expected =
        """
        74 70 6c 65 64 67 65 72                          ; magic
        01 00 00 00 00 10 00 00                          ; version, size
        20 a9 a0 d2 00 00 00 00                          ; checksum
        01 00 00 00 00 00 ad cf                          ; highest id
        90 00 00 00 00 00 5a 2d                          ; length
        00 00 00 00 77 6f 72 6b                          ; progress
        1c 73 80 13 73 00 00 00                          ; checksum, length of the note
        01 00 00 00 00 00 00 00                          ; id
        f3 17 49 fc a1 01 00 00                          ; time
        1b 00 75 73 65 72 20 30 2c 20 70 72 6f 63 65 73
        73 20 34 37 31 31 20 28 6a 61 76 61 29           ; who
        0e 00 77 6f 72 6b 65 72 73 3a 6e 6f 70 5f 36 32  ; label
        08 00 73 74 65 70 77 69 73 65                    ; engine
        cc 01 00 00 00                                   ; trap byte, pokes
        00 10 40 00 00 00 00 00 00 00 00 00 00 00 00 00
        00                                               ; address, redirect, trap action
        05 00 00 00 05 00 00 00 05 00 00 00              ; lengths
        0f 1f 44 00 00 e9 11 22 33 44                    ; old and new bytes
        00 00 00 00 00                                   ; to a multiple of 8
        50 0f 00 00 00 00 d6 3d                          ; length of the free record behind it
        00 00 00 00 66 72 65 65                          ; its progress
        """;

    assertThat(CodeBytes.copyOf(target.bytes, 0, 192))
        .isEqualTo(CodeBytes.ofHex(expected.replaceAll(";.*", "")));
  }

  @Test
  void holdsWhatAMapWouldHoldThroughManyPatches() {
    SplittableRandom random = new SplittableRandom(5);
    TargetBytes small = new TargetBytes(START, 3 * 2048);
    List<LedgerSegment> segments =
        List.of(
            new LedgerSegment(START, START + 2048),
            new LedgerSegment(START + 2048, START + 4096),
            new LedgerSegment(START + 4096, START + 6144));
    Map<Long, LedgerEntry> expected = new HashMap<>();
    long lastId = 0;
    int full = 0;
    for (int round = 0; round < 5_000; round++) {
      Ledger now = new Ledger(small, segments);
      if (expected.isEmpty() || random.nextInt(5) < 3) {
        PatchNote note = Notes.labelled("x".repeat(random.nextInt(40)), 1 + random.nextInt(6));
        Optional<LedgerEntry> added = now.add(note);
        if (added.isPresent()) {
          assertThat(added.get().id()).isEqualTo(++lastId);
          expected.put(lastId, added.get());
        } else {
          full++;
        }
      } else {
        List<Long> ids = new ArrayList<>(expected.keySet());
        LedgerEntry entry = expected.get(ids.get(random.nextInt(ids.size())));
        State[] states = State.values();
        Progress next = new Progress(states[random.nextInt(states.length)], random.nextInt(9));
        now.progress(entry, next);
        if (next.state() == State.REVERTED) {
          expected.remove(entry.id());
        } else {
          expected.put(
              entry.id(), new LedgerEntry(entry.address(), entry.id(), entry.note(), next));
        }
      }
      assertThat(now.read())
          .isEqualTo(
              new LedgerContents(
                  expected.values().stream()
                      .sorted(Comparator.comparingLong(LedgerEntry::id))
                      .collect(ImmutableList.toImmutableList()),
                  ImmutableList.of()));
    }
    assertThat(full).isGreaterThan(100);
    expected.values().forEach(entry -> new Ledger(small, segments).progress(entry, REVERTED));
    for (int i = 0; i < segments.size(); i++) {
      assertThat(new Ledger(small, segments).add(Notes.of(45)))
          .as("nothing of the space is lost")
          .isPresent();
    }
  }
}
