package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.plan.PatchPlan;

/**
 * Counts calls, and times them from the entry to the exit.
 *
 * @param condition which of them
 * @param generation of {@link Epochs}
 */
record LatencySlots(
    ImmutableList<Target> targets,
    LatencyTable table,
    CallCondition condition,
    ThreadKey key,
    long generation)
    implements ProbeSlots {
  LatencySlots(
      ImmutableList<Target> targets, LatencyTable table, CallCondition condition, ThreadKey key) {
    this(targets, table, condition, key, Epochs.newGeneration());
  }

  @Override
  public int codeSize() {
    return LatencyWriter.HEAD
        + EndsSlots.size(
            targets, LatencyWriter.ENTRY + ConditionCode.size(condition), LatencyWriter.EXIT);
  }

  @Override
  public long dataSize() {
    return table.size();
  }

  @Override
  public CodeBytes initial(long data) {
    return table.initial(data, generation);
  }

  @Override
  public CodeBytes write(
      long code,
      long data,
      ImmutableList.Builder<PatchPlan> plans,
      ImmutableList.Builder<PatchPlan> bypasses) {
    return EndsSlots.write(
        new LatencyWriter(code, data, table, condition, key), targets, plans, bypasses);
  }

  @Override
  public Tally read(TargetProcess process, long data) {
    return LatencyReader.read(process, table, data);
  }

  @Override
  public void prepare(TargetProcess process) {}

  @Override
  public void begin(TargetProcess process, long data) {
    Epochs.begin(process, data + table.head());
  }

  @Override
  public void pause(TargetProcess process, long data) {
    Epochs.pause(process, data + table.head());
  }
}
