package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.OptionalInt;

/**
 * Counts calls, and keeps what they were made with, and perhaps what they returned.
 *
 * @param threadId where a thread's control block has its id; empty: not known
 * @param generation of {@link Epochs}
 */
record CaptureSlots(
    ImmutableList<Target> targets,
    CaptureTable table,
    ProbeAction.Capture action,
    ThreadKey key,
    OptionalInt threadId,
    long generation)
    implements ProbeSlots {
  CaptureSlots(
      ImmutableList<Target> targets,
      CaptureTable table,
      ProbeAction.Capture action,
      ThreadKey key,
      OptionalInt threadId) {
    this(targets, table, action, key, threadId, Epochs.newGeneration());
  }

  @Override
  public int codeSize() {
    int entry = CaptureWriter.ENTRY + ConditionCode.size(action.condition());
    return CaptureWriter.HEAD
        + (table.isPaired()
            ? EndsSlots.size(targets, entry, CaptureWriter.EXIT)
            : targets.stream()
                .mapToInt(
                    target -> entry + OutOfLineCopy.maxSize(target.length()) + EndsWriter.ALIGNMENT)
                .sum());
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
    CaptureWriter writer = new CaptureWriter(code, data, table, action, key, threadId);
    if (table.isPaired()) {
      return EndsSlots.write(writer, targets, plans, bypasses);
    }
    for (int i = 0; i < targets.size(); i++) {
      Target target = targets.get(i);
      long slot = writer.nextSlot();
      long[] original = new long[1];
      writer.entry(
          i,
          at -> {
            original[0] = at;
            return CountSlots.displaced(target, slot, at, plans);
          });
      bypasses.add(CountSlots.bypass(target, slot, original[0]));
    }
    return writer.bytes();
  }

  @Override
  public Tally read(TargetProcess process, long data) {
    return Tally.of(Counters.read(process::read, table.counters(), data));
  }

  @Override
  public void prepare(TargetProcess process) {}

  @Override
  public void begin(TargetProcess process, long data) {
    if (table.isPaired()) {
      Epochs.begin(process, data + table.head());
    }
  }

  @Override
  public void pause(TargetProcess process, long data) {
    if (table.isPaired()) {
      Epochs.pause(process, data + table.head());
    }
  }
}
