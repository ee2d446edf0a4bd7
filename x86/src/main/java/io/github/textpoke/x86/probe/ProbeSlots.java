package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.PatchPlan;

/** What a probe brings into the target for the functions of one object. */
sealed interface ProbeSlots permits CountSlots, LatencySlots, CaptureSlots, CallSlots {
  /** Bytes of code, at most. */
  int codeSize();

  /** Bytes of data. */
  long dataSize();

  /** Data, from its first byte on, before the first call; what is behind it may be anything. */
  CodeBytes initial(long data);

  /**
   * Writes the code, and plans the jumps to it.
   *
   * @param code absolute address of it
   * @param data absolute address of the data
   * @param plans takes one for each jump
   * @param bypasses takes one for each slot
   */
  CodeBytes write(
      long code,
      long data,
      ImmutableList.Builder<PatchPlan> plans,
      ImmutableList.Builder<PatchPlan> bypasses);

  /** What the code calls into. */
  default ImmutableList<Extent> callees() {
    return ImmutableList.of();
  }

  /**
   * What was seen until now.
   *
   * @param data absolute address of the data
   */
  Tally read(TargetProcess process, long data);

  /** Once, before the patch is applied for the first time. */
  void prepare(TargetProcess process);

  /** The patch stands: calls that begin from now on may be timed. */
  void begin(TargetProcess process, long data);

  /** The patch is to come, or to go: no call is timed until {@link #begin}. */
  void pause(TargetProcess process, long data);
}
