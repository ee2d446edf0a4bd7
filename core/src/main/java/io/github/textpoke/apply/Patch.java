package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.PatchCutOffException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.ledger.DetourNote;
import io.github.textpoke.ledger.PatchNote;
import io.github.textpoke.plan.PatchPlan;
import java.time.Instant;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A plan that stands in a target, until it is reverted. It outlives its {@link TargetProcess}:
 * closing that leaves the new bytes in place. Thread-safe.
 */
public final class Patch {
  private final TargetProcess process;
  private final PatchRecord record;
  private final PatchNote note;
  private final @Nullable ApplyReport report;
  private boolean reverted;

  Patch(TargetProcess process, PatchRecord record, PatchNote note, @Nullable ApplyReport report) {
    this.process = process;
    this.record = record;
    this.note = note;
    this.report = report;
  }

  /** Its number in the target, unique as long as that lives; 0 where it could not be recorded. */
  public long id() {
    return record.id();
  }

  /** What was applied. */
  public PatchPlan plan() {
    return note.plan();
  }

  /** When it was applied, to the millisecond. */
  public Instant time() {
    return note.time();
  }

  /** Who has applied it. */
  public String who() {
    return note.who();
  }

  /** What it is, in the words of who has applied it. */
  public String label() {
    return note.label();
  }

  /** What makes its code lead on to what it replaces; empty: it has brought no code along. */
  public Optional<PatchPlan> bypass() {
    return note.detour().map(DetourNote::bypass);
  }

  /** How applying it went; empty where another {@link TargetProcess} has applied it. */
  public Optional<ApplyReport> report() {
    return Optional.ofNullable(report);
  }

  /** Whether a newer patch stands over one of its sites. */
  public boolean isCovered() {
    return process.isCovered(id());
  }

  /** Whether it was reverted by this handle. */
  public synchronized boolean isReverted() {
    return reverted;
  }

  PatchNote note() {
    return note;
  }

  PatchRecord record() {
    return record;
  }

  /**
   * Puts the old bytes back, by the same protocol. A detour over which another one stands is led
   * past instead, and its bytes go with the last one above.
   *
   * @return how it went
   * @throws WrongStateException if it was reverted already, by whomever
   * @throws PatchCutOffException if its patcher was cut off: see {@link TargetProcess#recover}
   * @throws PatchException as {@link TargetProcess#apply}; then the patch still stands, unless
   *     {@link PatchException#outcome} says otherwise
   */
  public synchronized ApplyReport revert() {
    if (reverted) {
      throw new WrongStateException("patch " + id() + " was reverted already");
    }
    ApplyReport done = process.revert(this);
    reverted = true;
    return done;
  }
}
