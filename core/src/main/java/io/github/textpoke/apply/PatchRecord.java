package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.PatchCutOffException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.ledger.Ledger;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.PatchNote;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.ledger.Progress.State;
import java.util.Optional;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/** One patch in the ledger: makes its record, and follows the plans that apply and revert it. */
final class PatchRecord implements Recording {
  private static final long APPLYING = new Progress(State.APPLYING, 0).word();
  private static final long APPLIED = new Progress(State.APPLIED, 0).word();
  private static final long REVERTING = new Progress(State.REVERTING, 0).word();
  private static final long BYPASSING = new Progress(State.BYPASSING, 0).word();
  private static final long BYPASSED = new Progress(State.BYPASSED, 0).word();

  /** What its next plan does to a patch. */
  enum Way {
    /** It puts the new bytes there. */
    APPLY,
    /** It puts the old bytes back. */
    REVERT,
    /** It makes the code that the patch has brought along lead on to what the patch replaced. */
    BYPASS
  }

  private final TargetLedger ledger;
  private final PatchNote note;
  private @Nullable LedgerEntry entry;

  /** What the next plan does. */
  private Way way = Way.APPLY;

  /** Whether it was made for the plan that comes next. */
  private boolean isNew;

  private @Nullable Object lastHold;
  private Marks forth = Marks.NONE;
  private Marks back = Marks.NONE;

  /** What the record says when the old bytes stand again. */
  private final long gone;

  /** A patch that is not in the ledger yet. */
  PatchRecord(TargetLedger ledger, PatchNote note) {
    this.ledger = ledger;
    this.note = note;
    // Even if it was rolled back: a thread may have gone to its code meanwhile.
    this.gone = goneState(note).word();
  }

  /**
   * What becomes of a patch's record when its old bytes stand again: where it has brought memory
   * along, threads may still run code there.
   */
  static Progress goneState(PatchNote note) {
    boolean keepsMemory = note.detour().filter(detour -> !detour.memory().isEmpty()).isPresent();
    return new Progress(keepsMemory ? State.RETIRED : State.REVERTED, 0);
  }

  /** A patch that is in the ledger. */
  static PatchRecord of(TargetLedger ledger, LedgerEntry entry) {
    PatchRecord record = new PatchRecord(ledger, entry.note());
    record.enter(entry);
    return record;
  }

  private void enter(LedgerEntry added) {
    entry = added;
    forth = new Marks(added.progressAddress(), APPLYING, APPLIED, gone);
    back = new Marks(added.progressAddress(), REVERTING, gone, APPLIED);
  }

  /** The next plan applies the patch, or else reverts it. */
  PatchRecord next(boolean willApply) {
    return next(willApply ? Way.APPLY : Way.REVERT);
  }

  /** What the next plan does to the patch. */
  PatchRecord next(Way next) {
    way = next;
    isNew = false;
    return this;
  }

  /** Its number in the target, 0 where it is not recorded. */
  long id() {
    LedgerEntry now = entry;
    return now == null ? 0 : now.id();
  }

  @Override
  public Marks marks(Object hold, IntConsumer room) {
    if (hold != lastHold) {
      look(room);
      lastHold = hold;
    }
    return switch (way) {
      case APPLY -> forth;
      case REVERT -> back;
      case BYPASS -> new Marks(forth.address(), BYPASSING, BYPASSED, APPLIED);
    };
  }

  private void look(IntConsumer room) {
    LedgerEntry known = entry;
    Optional<LedgerEntry> now =
        known == null ? Optional.empty() : ledger.contents().find(known.id());
    if (now.isPresent()) {
      if (!isNew) {
        checkIsNotCutOff(now.get());
      }
    } else if (way == Way.APPLY) {
      // Not there yet; or reverted, and then its space may be another's by now.
      add(room);
    } else if (known != null) {
      throw revertedBySomebody(known);
    }
  }

  /** Read while nobody else can patch: what is under way now has nobody who does it. */
  private void checkIsNotCutOff(LedgerEntry now) {
    switch (now.progress().state()) {
      case APPLIED -> {}
      case BYPASSED -> {
        if (way != Way.REVERT) {
          throw revertedBySomebody(now);
        }
        back = new Marks(back.address(), REVERTING, gone, BYPASSED);
      }
      case RETIRED, REVERTED -> throw revertedBySomebody(now);
      case APPLYING, REVERTING, BYPASSING -> throw new PatchCutOffException(ledger.pid(), now.id());
    }
  }

  private static WrongStateException revertedBySomebody(LedgerEntry entry) {
    return new WrongStateException(
        "patch " + entry.id() + " does not stand any more: somebody has reverted it");
  }

  /**
   * The plan was not carried out, and nothing was written for it. A record that was there before
   * says what it said: an engine that touches it puts it back itself.
   *
   * @param failure gets what goes wrong here as well
   */
  void withdraw(PatchException failure) {
    LedgerEntry added = entry;
    if (isNew && added != null) {
      try {
        // An engine may have done so already, and then its space may be another's by now.
        if (ledger.contents().find(added.id()).isPresent()) {
          ledger.ledger().progress(added, new Progress(State.REVERTED, 0));
        }
      } catch (PatchException also) {
        failure.addSuppressed(also);
      }
    }
  }

  private void add(IntConsumer room) {
    Optional<LedgerEntry> added = ledger.ledger().add(note);
    if (added.isEmpty()) {
      room.accept(Ledger.segmentSize(note));
      added = ledger.ledger().add(note);
    }
    if (added.isPresent()) {
      enter(added.get());
      isNew = true;
    } else {
      entry = null;
      forth = Marks.NONE;
      back = Marks.NONE;
    }
  }
}
