package io.github.textpoke.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class PatchNoteTest {
  @Test
  void keepsWholeMilliseconds() {
    PatchNote note = Notes.of(1);

    assertThat(
            new PatchNote(
                Instant.parse("2026-11-21T04:06:51.123999Z"),
                note.who(),
                note.label(),
                note.engine(),
                note.plan()))
        .isEqualTo(note);
  }

  @Test
  void cutsATextOffBetweenTwoCharacters() {
    // Three bytes of UTF-8 each: 512 is no multiple.
    String label = Notes.labelled("\u20ac".repeat(200), 1).label();

    assertThat(label).isEqualTo("\u20ac".repeat(170));
    // Four bytes, two chars each.
    assertThat(Notes.labelled("\ud83d\ude00".repeat(200), 1).label())
        .isEqualTo("\ud83d\ude00".repeat(128));
    assertThat(Notes.labelled("a".repeat(512), 1).label()).hasSize(512);
    assertThat(Notes.labelled("\u00e9".repeat(300), 1).label().getBytes(StandardCharsets.UTF_8))
        .hasSize(PatchNote.LONGEST_TEXT);
  }

  @Test
  void replacesWhatNoTerminalShouldBeGiven() {
    assertThat(Notes.labelled("a\u001b[2Jb\nc\u202ed\ud800e\u2028\u0085f", 1).label())
        .isEqualTo("a?[2Jb?c?d?e??f");
  }
}
