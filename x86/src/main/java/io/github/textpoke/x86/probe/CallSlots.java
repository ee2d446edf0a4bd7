package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.relocate.OutOfLineCopy;

/**
 * Counts calls, and calls a function of the user's before.
 *
 * @param condition which of them
 */
record CallSlots(
    ImmutableList<Target> targets,
    CounterTable table,
    CallCondition condition,
    ThreadKey key,
    Callee callee)
    implements ProbeSlots {
  @Override
  public int codeSize() {
    int slot = CallWriter.SLOT + ConditionCode.size(condition) + EndsWriter.ALIGNMENT;
    return CallWriter.HEAD
        + targets.stream().mapToInt(target -> slot + OutOfLineCopy.maxSize(target.length())).sum();
  }

  @Override
  public long dataSize() {
    return table.size();
  }

  @Override
  public CodeBytes initial(long data) {
    return table.initial(data);
  }

  @Override
  public ImmutableList<Extent> callees() {
    return ImmutableList.of(callee.object());
  }

  @Override
  public CodeBytes write(
      long code,
      long data,
      ImmutableList.Builder<PatchPlan> plans,
      ImmutableList.Builder<PatchPlan> bypasses) {
    CallWriter writer = new CallWriter(code, data, table, condition, key, callee.address());
    for (int i = 0; i < targets.size(); i++) {
      Target target = targets.get(i);
      long slot = writer.nextSlot();
      long original = writer.slot(i, at -> CountSlots.displaced(target, slot, at, plans));
      bypasses.add(CountSlots.bypass(target, slot, original));
    }
    return writer.bytes();
  }

  @Override
  public Tally read(TargetProcess process, long data) {
    return Tally.of(Counters.read(process::read, table, data));
  }

  @Override
  public void prepare(TargetProcess process) {}

  @Override
  public void begin(TargetProcess process, long data) {}

  @Override
  public void pause(TargetProcess process, long data) {}
}
