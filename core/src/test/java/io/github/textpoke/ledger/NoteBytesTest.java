package io.github.textpoke.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.ledger.NoteBytes.BadNoteException;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NoteBytesTest {
  private static final long ID = 7;

  /** As the first release wrote it, before it knew that instructions can be displaced. */
  private static final String OLD_FORM =
      """
      07 00 00 00 00 00 00 00  7b 68 3e a0 9a 01 00 00
      02 00 6d 65  01 00 66  00 00
      cc  01 00 00 00
      00 10 40 00 00 00 00 00  00 00 00 70 00 00 00 00  01
      02 00 00 00  02 00 00 00  01 00 00 00
      66 90  c3 cc
      """;

  private static final String DISPLACING =
      """
      07 00 00 00 00 00 00 00  7b 68 3e a0 9a 01 00 00
      02 00 6d 65  01 00 66  00 00
      cc  01 00 00 00
      00 10 40 00 00 00 00 00  00 00 00 70 00 00 00 00  11
      03 00 00 00  03 00 00 00  02 00 00 00
      55 66 90  eb 10 cc
      01 00 00 00
      01 00 00 00  01 00 00 70 00 00 00 00  01
      """;

  private static final int KIND = 16 + 9 + 5 + 16;
  private static final int COUNT = KIND + 1 + 12 + 6;

  private static PatchNote note(Poke poke) {
    return new PatchNote(
        Instant.ofEpochMilli(0x19a_a03e_687bL),
        "me",
        "f",
        "",
        PatchPlan.of(Notes.INT3, List.of(poke)));
  }

  private static PatchNote oneForOne() {
    return note(
        new Poke(
            new Site(0x401000, CodeBytes.ofHex("66 90")),
            2,
            CodeBytes.ofHex("c3 cc"),
            1,
            new TrapAction.Redirect(0x70000000)));
  }

  private static Poke displacing() {
    return Poke.displacing(
        new Site(0x401000, CodeBytes.ofHex("55 66 90")),
        3,
        List.of(Boundary.copiedTo(1, 0x70000001)),
        CodeBytes.ofHex("eb 10 cc"),
        2,
        new TrapAction.Redirect(0x70000000));
  }

  private static PatchNote detour() {
    PatchNote plain = note(displacing());
    Poke jump =
        new Poke(
            new Site(0x70000040L, CodeBytes.ofHex("eb 10")),
            2,
            CodeBytes.ofHex("eb 20"),
            2,
            new TrapAction.Rewind());
    return new PatchNote(
        plain.time(),
        plain.who(),
        plain.label(),
        plain.engine(),
        plain.plan(),
        Optional.of(
            new DetourNote(
                PatchPlan.of(Notes.INT3, List.of(jump)),
                ImmutableList.of(new Extent(0x70000000L, 0x80), new Extent(0x70010000L, 0x40)))));
  }

  @Test
  void whatADetourHasBroughtAlongIsReadAsItWasWritten() throws BadNoteException {
    ByteBuffer bytes =
        ByteBuffer.allocate((int) NoteBytes.length(detour())).order(ByteOrder.LITTLE_ENDIAN);
    NoteBytes.write(bytes, ID, detour());
    assertThat(bytes.hasRemaining()).isFalse();
    assertThat(NoteBytes.read(bytes.flip()).note()).isEqualTo(detour());
  }

  @Test
  void aDetourThatIsCutOffOrHasNoMemoryIsBad() {
    ByteBuffer bytes =
        ByteBuffer.allocate((int) NoteBytes.length(detour())).order(ByteOrder.LITTLE_ENDIAN);
    NoteBytes.write(bytes, ID, detour());
    byte[] whole = bytes.array();
    assertBad("it ends too early", Arrays.copyOf(whole, whole.length - 1));
    byte[] empty = whole.clone();
    Arrays.fill(empty, whole.length - 8, whole.length, (byte) 0);
    assertBad("an extent of 0 bytes", empty);
  }

  /** A patch of several sites, with as many stubs, and memory in many places. */
  private static PatchNote large(int pokes, int extents) {
    PatchNote one = detour();
    List<Poke> bypass = new ArrayList<>();
    for (int i = 0; i < pokes; i++) {
      bypass.add(
          new Poke(
              new Site(0x70000040L + 16L * i, CodeBytes.ofHex("eb 10")),
              2,
              CodeBytes.ofHex("eb 20"),
              2,
              new TrapAction.Rewind()));
    }
    ImmutableList.Builder<Extent> memory = ImmutableList.builder();
    for (int i = 0; i < extents; i++) {
      memory.add(new Extent(0x70000000L + 0x1000L * i, 0x80));
    }
    return new PatchNote(
        one.time(),
        one.who(),
        one.label(),
        one.engine(),
        one.plan(),
        Optional.of(new DetourNote(PatchPlan.of(Notes.INT3, bypass), memory.build())));
  }

  @ParameterizedTest
  @CsvSource({"2, 1", "2000, 2", "1, 17", "1, 300", "300, 300"})
  void aBypassOfSeveralPokesAndManyExtentsAreReadAsTheyWereWritten(int pokes, int extents)
      throws BadNoteException {
    PatchNote note = large(pokes, extents);
    assertThat(read(written(note))).isEqualTo(note);
  }

  @Test
  void aLargeDetourThatPromisesMoreThanThereIsIsBad() {
    PatchNote note = large(2, 1);
    byte[] bytes = written(note);
    int count = bytes.length - Long.BYTES * 2 - 2 - 2 * (8 + 8 + 1 + 12 + 4) - 4;
    assertThat(bytes[count]).isEqualTo((byte) 2);
    for (int most : new int[] {3, 0x7f}) {
      byte[] hostile = bytes.clone();
      hostile[count + 3] = (byte) most;
      assertBad("", hostile);
    }
    byte[] none = bytes.clone();
    none[count] = 0;
    assertBad("a plan has at least one poke", none);
    byte[] negative = bytes.clone();
    negative[count + 3] = (byte) 0x80;
    assertBad("a plan has at least one poke", negative);
  }

  @Test
  void aDetourOfOneJumpIsWrittenAsTheFirstReleaseDid() {
    PatchNote note = detour();
    byte[] bytes = written(note);
    int detour = bytes.length - 2 * 16 - 1 - (8 + 8 + 1 + 12 + 4) - 1;
    assertThat(bytes[detour]).isEqualTo((byte) 1);
    assertThat(bytes[bytes.length - 2 * 16 - 1]).isEqualTo((byte) 2);
  }

  @Test
  void readsAndWritesTheOldFormAsItWas() throws BadNoteException {
    assertThat(read(bytes(OLD_FORM))).isEqualTo(oneForOne());
    assertThat(written(oneForOne())).isEqualTo(bytes(OLD_FORM));
  }

  @Test
  void addsTheBoundariesWhereInstructionsAreDisplaced() throws BadNoteException {
    assertThat(written(note(displacing()))).isEqualTo(bytes(DISPLACING));
    assertThat(read(bytes(DISPLACING))).isEqualTo(note(displacing()));
  }

  @Test
  void readsTheWayBackEqual() throws BadNoteException {
    PatchNote back = note(displacing().inverse());

    assertThat(read(written(back))).isEqualTo(back);
    assertThat(written(back)[KIND]).isEqualTo((byte) 0x21);
  }

  @Test
  void takesAFormThatIsNotKnownForNoNote() {
    for (int form = 3; form < 16; form++) {
      byte[] unknown = bytes(OLD_FORM);
      unknown[KIND] |= (byte) (form << 4);

      assertBad("a poke of form " + form, unknown);
    }
  }

  @Test
  void takesBoundariesThatMakeNoSenseForNoNote() {
    assertBad("it ends too early", with(COUNT, 0));
    assertBad("it ends too early", with(COUNT, 2));
    assertBad("it ends too early", with(COUNT + 3, 0x7f));
    assertBad("it ends too early", with(COUNT + 3, 0x80));
    assertBad("a boundary at offset 0", with(COUNT + 4, 0));
    assertBad("a boundary at offset 3 of code of 3 bytes", with(COUNT + 4, 3));
    assertBad("trap action 0 with an address", with(COUNT + 16, 0));
    assertBad("trap action 17", with(COUNT + 16, 0x11));
    assertBad("2 bytes too many", Arrays.copyOf(bytes(DISPLACING), COUNT + 19));
    byte[] waiting = with(COUNT + 16, 0);
    waiting[COUNT + 8] = 0;
    waiting[COUNT + 11] = 0;
    assertBad("plan refused by rule 4", waiting);
  }

  @Test
  void answersAnyBytesWithANoteOrAReason() {
    SplittableRandom random = new SplittableRandom(5);
    int bad = 0;
    for (int round = 0; round < 50_000; round++) {
      byte[] bytes = bytes(DISPLACING);
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        bytes[KIND + random.nextInt(bytes.length - KIND)] = (byte) random.nextInt();
      }
      try {
        assertThat(read(bytes).plan().pokes()).hasSize(1);
      } catch (BadNoteException e) {
        bad++;
      }
    }
    assertThat(bad).isBetween(10_000, 49_000);
  }

  private static byte[] with(int at, int value) {
    byte[] bytes = bytes(DISPLACING);
    bytes[at] = (byte) value;
    return bytes;
  }

  private static void assertBad(String words, byte[] bytes) {
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(BadNoteException.class)
        .hasMessageContaining(words);
  }

  private static byte[] bytes(String hex) {
    return HexFormat.of().parseHex(hex.replaceAll("\\s", ""));
  }

  private static PatchNote read(byte[] bytes) throws BadNoteException {
    NoteBytes.Read read = NoteBytes.read(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
    assertThat(read.id()).isEqualTo(ID);
    return read.note();
  }

  /** As many bytes as the note says that it takes. */
  private static byte[] written(PatchNote note) {
    ByteBuffer bytes = LedgerLayout.littleEndian((int) NoteBytes.length(note));
    NoteBytes.write(bytes, ID, note);
    assertThat(bytes.hasRemaining()).isFalse();
    return bytes.array();
  }
}
