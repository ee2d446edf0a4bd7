package io.github.textpoke.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.ledger.TargetBytes.Died;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A patcher that dies after each byte that it writes. A word that it has begun is written. */
class LedgerCutOffTest {
  private static final long START = 0x7f00_0000_0000L;
  private static final Progress REVERTED = new Progress(State.REVERTED, 0);

  private static TargetBytes full() {
    TargetBytes target = new TargetBytes(START, 2048);
    while (target.ledger().add(Notes.of(2)).isPresent()) {
      // until no room is left
    }
    return target;
  }

  private static void revert(TargetBytes target, int... ids) {
    for (int id : ids) {
      target.ledger().progress(target.ledger().read().find(id).orElseThrow(), REVERTED);
    }
  }

  @Test
  void inANewSegment() {
    diesAnywhere(new TargetBytes(START, 2048), Notes.of(1));
  }

  @Test
  void behindOthers() {
    TargetBytes target = new TargetBytes(START, 2048);
    target.ledger().add(Notes.of(1)).orElseThrow();
    target.ledger().add(Notes.of(2)).orElseThrow();

    diesAnywhere(target, Notes.of(3));
  }

  @Test
  void inAGapThatFits() {
    TargetBytes target = full();
    revert(target, 3);

    diesAnywhere(target, Notes.of(2));
  }

  @Test
  void inAGapWithEightBytesTooMany() {
    TargetBytes target = full();
    revert(target, 3);
    // Eight bytes of UTF-8 less.
    diesAnywhere(target, Notes.labelled("worker", 2));
  }

  @Test
  void inAGapThatIsLonger() {
    TargetBytes target = full();
    revert(target, 3);

    diesAnywhere(target, Notes.of(1));
  }

  @Test
  void inAGapOfNeighbours() {
    for (int sites = 1; sites <= 6; sites++) {
      TargetBytes target = full();
      revert(target, 4, 2, 3);

      diesAnywhere(target, Notes.of(sites));
    }
  }

  @Test
  void inAGapAtTheEnd() {
    TargetBytes target = new TargetBytes(START, 2048);
    for (int i = 0; i < 5; i++) {
      target.ledger().add(Notes.of(2)).orElseThrow();
    }
    revert(target, 4, 5);

    diesAnywhere(target, Notes.of(4));
  }

  /** Dies twice, the second time in what the first one has left, and a third patcher goes on. */
  private static void diesAnywhere(TargetBytes before, PatchNote note) {
    List<TargetBytes> left = deaths(before, note);
    assertThat(left).hasSizeGreaterThan(100);
    // Seven is less than a word: each word is the last one of some patcher.
    for (int i = 0; i < left.size(); i += 7) {
      deaths(left.get(i), Notes.of(1));
    }
  }

  /** What each patcher left that died while it recorded {@code note}. */
  private static List<TargetBytes> deaths(TargetBytes before, PatchNote note) {
    ImmutableList<LedgerEntry> standing = before.ledger().read().entries();
    TargetBytes whole = before.copy();
    Optional<LedgerEntry> added = whole.ledger().add(note);
    List<TargetBytes> left = new ArrayList<>();
    if (added.isEmpty()) {
      return left; // the one that died first has taken the room
    }
    int present = 0;
    for (long bytes = 1; bytes <= whole.written(); bytes++) {
      TargetBytes target = before.copy().dyingAfter(bytes);
      assertThatThrownBy(() -> target.ledger().add(note)).isInstanceOf(Died.class);

      TargetBytes dead = target.copy();
      LedgerContents contents = dead.ledger().read();
      assertThat(contents.damaged()).isEmpty();
      if (contents.entries().size() > standing.size()) {
        present++;
      }
      assertThat(contents.entries())
          .isIn(standing, ImmutableList.builder().addAll(standing).add(added.get()).build());
      left.add(dead);
    }
    assertThat(present).as("only by the last word").isEqualTo(8);
    for (TargetBytes dead : left.subList(0, left.size() - 8)) {
      TargetBytes next = dead.copy();
      LedgerEntry entry = next.ledger().add(note).orElseThrow();
      assertThat(entry.id()).isBetween(added.get().id(), added.get().id() + 1);
      assertThat(next.ledger().read())
          .isEqualTo(
              new LedgerContents(
                  ImmutableList.<LedgerEntry>builder().addAll(standing).add(entry).build(),
                  ImmutableList.of()));
    }
    return left;
  }
}
