package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.ExitRun;
import io.github.textpoke.x86.plan.FunctionEnds;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Insertion;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/** Counts calls, and times them from the entry to the exit. */
record LatencySlots(
    ImmutableList<Target> targets, LatencyTable table, ThreadKey key, long generation)
    implements ProbeSlots {
  /** Behind the no-operation that a slot begins with. */
  private static final int BODY = 5;

  /** What an exit takes besides its body: that of a conditional jump is over one more jump. */
  private static final int EXIT_GROWTH = 16;

  LatencySlots(ImmutableList<Target> targets, LatencyTable table, ThreadKey key) {
    this(
        targets,
        table,
        key,
        (ThreadLocalRandom.current().nextInt() >>> 1)
            * (LatencyTable.EPOCH_STEP * LatencyTable.EPOCHS));
  }

  @Override
  public int codeSize() {
    int size = LatencyWriter.HEAD;
    for (Target target : targets) {
      size += LatencyWriter.ENTRY + size(ends(target).entry());
      for (ExitRun exit : ends(target).exits()) {
        size += size(exit);
      }
    }
    return size;
  }

  private static FunctionEnds ends(Target target) {
    return target.ends().orElseThrow();
  }

  private static int size(ExitRun run) {
    return BODY
        + run.exits().size() * (LatencyWriter.EXIT + EXIT_GROWTH)
        + 2 * (OutOfLineCopy.maxSize(run.length()) + LatencyWriter.ALIGNMENT);
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
    LatencyWriter writer = new LatencyWriter(code, data, table, key);
    for (int i = 0; i < targets.size(); i++) {
      int function = i;
      Target target = targets.get(i);
      FunctionEnds ends = ends(target);
      long entry = writer.nextSlot();
      writer.entry(function, at -> copy(writer, function, target, ends.entry(), at));
      plan(writer, target, ends.entry(), entry, plans, bypasses);
      for (ExitRun run : ends.exits()) {
        long slot = writer.nextSlot();
        writer.exitSlot(at -> copy(writer, function, target, run, at));
        plan(writer, target, run, slot, plans, bypasses);
      }
    }
    return writer.bytes();
  }

  /** What was displaced, with bodies before the exits. */
  private static CodeBytes copy(
      LatencyWriter writer, int function, Target target, ExitRun run, long address) {
    ImmutableMap.Builder<Long, Insertion> bodies = ImmutableMap.builder();
    for (long exit : run.exits()) {
      bodies.put(exit, at -> writer.exit(function, at));
    }
    return OutOfLineCopy.of(
            target.planner().decoder(),
            run.code(),
            run.start(),
            run.length(),
            address,
            Map.of(),
            bodies.buildOrThrow())
        .bytes();
  }

  /** Behind the slot stands a copy without bodies, for who is on the way when it comes or goes. */
  private static void plan(
      LatencyWriter writer,
      Target target,
      ExitRun run,
      long slot,
      ImmutableList.Builder<PatchPlan> plans,
      ImmutableList.Builder<PatchPlan> bypasses) {
    DisplacingPlan displacing =
        target.planner().displace(run, slot, writer.nextSlot(), target.entrances());
    plans.add(displacing.plan());
    bypasses.add(CountSlots.bypass(target, slot, displacing.copy().address()));
    writer.copy(displacing.copy().bytes());
  }

  @Override
  public Tally read(TargetProcess process, long data) {
    return LatencyReader.read(process, table, data);
  }

  @Override
  public void prepare(TargetProcess process) {}

  @Override
  public void begin(TargetProcess process, long data) {
    process.store(
        data + table.head() + LatencyTable.EPOCH, LatencyReader.nextEpoch(process, table, data));
  }

  @Override
  public void pause(TargetProcess process, long data) {
    process.store(data + table.head() + LatencyTable.EPOCH, 0);
  }
}
