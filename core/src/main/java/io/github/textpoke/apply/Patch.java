package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.plan.PatchPlan;

/**
 * A plan that stands in a target, until it is reverted. It outlives its {@link TargetProcess}:
 * closing that leaves the new bytes in place. Thread-safe.
 */
public final class Patch {
  private final TargetProcess process;
  private final int id;
  private final PatchPlan plan;
  private final ApplyReport report;
  private boolean reverted;

  Patch(TargetProcess process, int id, PatchPlan plan, ApplyReport report) {
    this.process = process;
    this.id = id;
    this.plan = plan;
    this.report = report;
  }

  /** Number of the patch in its {@link TargetProcess}, from 1. */
  public int id() {
    return id;
  }

  /** What was applied. */
  public PatchPlan plan() {
    return plan;
  }

  /** How applying it went. */
  public ApplyReport report() {
    return report;
  }

  /** Whether it was reverted. */
  public synchronized boolean isReverted() {
    return reverted;
  }

  /**
   * Puts the old bytes back, by the same protocol.
   *
   * @return how it went
   * @throws WrongStateException if it was reverted already
   * @throws PatchException as {@link TargetProcess#apply}; then the patch still stands, unless
   *     {@link PatchException#outcome} says otherwise
   */
  public synchronized ApplyReport revert() {
    if (reverted) {
      throw new WrongStateException("patch " + id + " was reverted already");
    }
    ApplyReport done = process.revert(this);
    reverted = true;
    return done;
  }
}
