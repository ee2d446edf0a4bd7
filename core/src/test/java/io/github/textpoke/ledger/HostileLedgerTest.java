package io.github.textpoke.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.Progress.State;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Segments that hold anything. */
class HostileLedgerTest {
  private static final long START = 0x7f00_0000_0000L;
  private static final long[] NASTY = {
    0, 1, -1, 7, 8, 16, 24, 0x7fff_ffff, 0xffff_ffffL, Long.MAX_VALUE, Long.MIN_VALUE
  };

  private final TargetBytes target = new TargetBytes(START, 2048);
  private final ByteBuffer words = ByteBuffer.wrap(target.bytes).order(ByteOrder.LITTLE_ENDIAN);
  private final List<LedgerEntry> entries = new ArrayList<>();

  HostileLedgerTest() {
    for (int sites = 1; sites <= 4; sites++) {
      LedgerEntry entry = target.ledger().add(Notes.of(sites)).orElseThrow();
      Progress progress = new Progress(sites == 2 ? State.REVERTED : State.APPLIED, 0);
      target.ledger().progress(entry, progress);
      entries.add(new LedgerEntry(entry.address(), entry.id(), entry.note(), progress));
    }
    entries.remove(1);
    assertThat(target.ledger().read().entries()).isEqualTo(entries);
  }

  private int offset(LedgerEntry entry) {
    return (int) (entry.address() - START);
  }

  private void assertDamaged(long at, String reason, LedgerEntry... standing) {
    assertThat(target.ledger().read())
        .isEqualTo(
            new LedgerContents(
                ImmutableList.copyOf(standing),
                ImmutableList.of(new DamagedRecord(START + at, reason))));
  }

  @Test
  void aSegmentThatCannotBeReadIsDamaged() {
    Ledger ledger = new Ledger(target, List.of(new LedgerSegment(START, START + 4096)));

    assertThat(ledger.read().damaged())
        .containsExactly(new DamagedRecord(START, "the segment can't be read"));
    assertThat(ledger.add(Notes.of(1))).isEmpty();
  }

  @Test
  void aSegmentOfNoSensibleSizeIsDamaged() {
    for (long size : new long[] {0, 8, 40, 1001, -4096, 1L << 40}) {
      assertThat(
              new Ledger(target, List.of(new LedgerSegment(START, START + size))).read().damaged())
          .containsExactly(
              new DamagedRecord(START, "a segment of " + Long.toUnsignedString(size) + " bytes"));
    }
  }

  @Test
  void aSegmentThatWasCutShorterIsDamaged() {
    Ledger ledger = new Ledger(target, List.of(new LedgerSegment(START, START + 1024)));

    assertThat(ledger.read().damaged())
        .containsExactly(new DamagedRecord(START, "the segment had 2048 bytes, now 1024"));
    assertThat(ledger.add(Notes.of(1))).isEmpty();
  }

  @Test
  void aSegmentOfAnotherVersionIsReportedAndLeftAlone() {
    words.putInt(8, 2);

    assertDamaged(0, "the segment is of version 2, and only version 1 is known here");
    assertThat(target.ledger().add(Notes.of(1))).isEmpty();
  }

  @Test
  void aSegmentWithAnotherBeginningIsReportedAndLeftAlone() {
    words.putLong(0, 0x464c_457fL);

    assertDamaged(0, "the segment does not begin as a ledger does");
    assertThat(target.ledger().add(Notes.of(1))).isEmpty();
  }

  @Test
  void aWrongHeaderIsReported() {
    words.putInt(12, 4096);

    assertDamaged(0, "the checksum of the segment's header is wrong");
  }

  @Test
  void aLengthThatIsDamagedHidesWhatStandsBehindItAndNothingElse() {
    words.putLong(offset(entries.get(1)), LedgerLayout.checked(64) + 8);

    assertDamaged(
        offset(entries.get(1)),
        "the length of a record is damaged; what stands behind it can't be found",
        entries.get(0));
  }

  @Test
  void lengthsThatAreCheckedAndWrongAreDamaged() {
    for (long length : new long[] {0, 8, 20, 4096, LedgerLayout.GREATEST_VALUE}) {
      words.putLong(offset(entries.get(1)), LedgerLayout.checked(length));

      assertDamaged(
          offset(entries.get(1)),
          "the length of a record is damaged; what stands behind it can't be found",
          entries.get(0));
    }
  }

  @Test
  void anUnknownProgressIsDamaged() {
    words.putLong(offset(entries.get(1)) + 8, 42);

    assertDamaged(
        offset(entries.get(1)),
        "the progress of a record is damaged",
        entries.get(0),
        entries.get(2));
  }

  @Test
  void aByteOfANoteThatChangedIsDamaged() {
    target.bytes[offset(entries.get(1)) + 60] ^= 1;

    assertDamaged(
        offset(entries.get(1)),
        "the checksum of a record is wrong",
        entries.get(0),
        entries.get(2));
  }

  @Test
  void aNoteLongerThanItsRecordIsDamaged() {
    words.putInt(offset(entries.get(1)) + 20, 1000);

    assertDamaged(
        offset(entries.get(1)),
        "the note of a record is longer than the record",
        entries.get(0),
        entries.get(2));
  }

  @Test
  void theShortestRecordIsFreeOrDamaged() {
    int last = 2048 - 16;
    words.putLong(offset(entries.get(2)), LedgerLayout.checked(last - offset(entries.get(2))));
    words.putLong(last, LedgerLayout.checked(16));
    words.putLong(last + 8, new Progress(State.APPLIED, 0).word());

    assertDamaged(last, "a record is too short for a note", entries.toArray(LedgerEntry[]::new));
  }

  @Test
  void anIdThatStandsTwiceIsReported() {
    LedgerEntry third = entries.get(1);
    int at = offset(third);
    words.putLong(at + 24, 1);
    int end = at + 24 + words.getInt(at + 20);
    words.putInt(at + 16, LedgerLayout.crc(target.bytes, at + 20, end));

    assertDamaged(at, "another record has the id 1 too", entries.get(0), entries.get(2));
  }

  @Test
  void aHighestIdThatIsDamagedIsReportedAndSetAnew() {
    words.putLong(24, 99);
    assertThat(target.ledger().read().damaged())
        .containsExactly(new DamagedRecord(START + 24, "the highest id is damaged"));

    assertThat(target.ledger().add(Notes.of(1)).orElseThrow().id()).isEqualTo(5);

    assertThat(target.ledger().read().damaged()).isEmpty();
  }

  @Test
  void aNoteWhoseChecksumIsRightButMakesNoSenseIsDamaged() {
    LedgerEntry entry = entries.get(1);
    int at = offset(entry);
    int length = words.getInt(at + 20);
    byte[] good = target.bytes.clone();
    SplittableRandom random = new SplittableRandom(3);
    int damaged = 0;
    for (int round = 0; round < 20_000; round++) {
      System.arraycopy(good, 0, target.bytes, 0, good.length);
      for (int i = random.nextInt(1, 3); i > 0; i--) {
        mutate(words, at + 20, length - 4, random);
      }
      int now = words.getInt(at + 20);
      if (now >= 0 && now <= length) {
        words.putInt(at + 16, LedgerLayout.crc(target.bytes, at + 20, at + 24 + now));
      }

      LedgerContents contents = read(target);

      assertThat(contents.entries()).contains(entries.get(0));
      damaged += contents.damaged().size();
    }
    assertThat(damaged).isBetween(1_000, 19_000);
  }

  @Test
  void readsAnyBytesWithoutAnExceptionAndAddsOverNothingThatItRead() {
    SplittableRandom random = new SplittableRandom(7);
    byte[] good = target.bytes.clone();
    int damaged = 0;
    int added = 0;
    for (int round = 0; round < 20_000; round++) {
      System.arraycopy(good, 0, target.bytes, 0, good.length);
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        mutate(words, 0, random.nextBoolean() ? 64 : good.length - 8, random);
      }

      LedgerContents contents = read(target);
      damaged += contents.damaged().isEmpty() ? 0 : 1;
      assertThat(entries).as("what is listed is true").containsAll(known(contents));
      boolean isNew = words.getLong(0) == 0;
      var entry = target.ledger().add(Notes.of(1));
      if (entry.isPresent() && !isNew) {
        added++;
        assertThat(read(target).entries()).containsAll(contents.entries()).contains(entry.get());
        assertThat(read(target).damaged())
            .containsAll(
                contents.damaged().stream()
                    .filter(record -> record.address() != START + 24)
                    .toList());
      }
    }
    assertThat(damaged).isBetween(5_000, 19_900);
    assertThat(added).isGreaterThan(5_000);
  }

  /** All but those whose progress was changed to another one that is known. */
  private static List<LedgerEntry> known(LedgerContents contents) {
    return contents.entries().stream()
        .filter(entry -> entry.progress().equals(new Progress(State.APPLIED, 0)))
        .toList();
  }

  @Test
  void readsNoiseWithoutAnException() {
    SplittableRandom random = new SplittableRandom(9);
    for (int round = 0; round < 2_000; round++) {
      random.nextBytes(target.bytes);
      assertThat(read(target).entries()).isEmpty();
      // A header that is whole, and noise behind it.
      words.putLong(0, LedgerLayout.MAGIC).putInt(8, 1).putInt(12, 2048);
      words.putInt(16, LedgerLayout.crc(target.bytes, 0, 16));
      for (int at = 32; at + 16 <= 2048; at += 32) {
        words.putLong(at, LedgerLayout.checked(32));
        words.putLong(at + 8, new Progress(State.APPLYING, 0).word());
      }
      assertThat(read(target).entries()).isEmpty();
      assertThat(read(target).damaged()).hasSizeGreaterThan(50);
    }
  }

  @Test
  void aCheckedWordWithAnyBitChangedIsKnown() {
    for (long value : new long[] {0, 1, 16, 4096, 123_456, LedgerLayout.GREATEST_VALUE}) {
      long word = LedgerLayout.checked(value);
      assertThat(LedgerLayout.value(word)).isEqualTo(value);
      for (int bit = 0; bit < 64; bit++) {
        assertThat(LedgerLayout.value(word ^ 1L << bit)).isEqualTo(-1);
      }
    }
    assertThat(LedgerLayout.value(0)).as("zeros are no word").isEqualTo(-1);
    assertThat(LedgerLayout.value(-1)).isEqualTo(-1);
  }

  private static LedgerContents read(TargetBytes target) {
    return target.ledger().read();
  }

  private static void mutate(ByteBuffer bytes, int from, int length, SplittableRandom random) {
    int at = from + random.nextInt(length);
    long value = NASTY[random.nextInt(NASTY.length)];
    switch (random.nextInt(5)) {
      case 0 -> bytes.put(at, (byte) random.nextInt());
      case 1 -> bytes.putShort(at, (short) value);
      case 2 -> bytes.putInt(at, (int) value);
      case 3 -> bytes.putLong(at & ~7, value);
      case 4 -> {
        CodeBytes part = CodeBytes.copyOf(bytes.array(), from, from + Math.min(length, 24));
        part.copyTo(0, bytes.array(), Math.min(at, bytes.capacity() - 24), part.length());
      }
      default -> throw new AssertionError();
    }
  }
}
