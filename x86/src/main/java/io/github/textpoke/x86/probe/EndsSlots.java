package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.plan.ExitRun;
import io.github.textpoke.x86.plan.FunctionEnds;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Insertion;
import java.util.Map;

/** Slots for functions whose exits are patched too. */
final class EndsSlots {
  /** Behind the no-operation that a slot begins with. */
  private static final int BODY = 5;

  /** What an exit takes besides its body: that of a conditional jump is over one more jump. */
  private static final int EXIT_GROWTH = 16;

  private EndsSlots() {}

  /**
   * Bytes of all slots, at most.
   *
   * @param entry the most bytes of a slot at an entry, without what was displaced
   * @param exit the most bytes of the body at an exit
   */
  static int size(ImmutableList<Target> targets, int entry, int exit) {
    int size = 0;
    for (Target target : targets) {
      size += entry + size(ends(target).entry(), exit);
      for (ExitRun run : ends(target).exits()) {
        size += size(run, exit);
      }
    }
    return size;
  }

  private static int size(ExitRun run, int exit) {
    return BODY
        + run.exits().size() * (exit + EXIT_GROWTH)
        + 2 * (OutOfLineCopy.maxSize(run.length()) + EndsWriter.ALIGNMENT);
  }

  private static FunctionEnds ends(Target target) {
    return target.ends().orElseThrow();
  }

  /** Writes all of them: see {@link ProbeSlots#write}. */
  static CodeBytes write(
      EndsWriter writer,
      ImmutableList<Target> targets,
      ImmutableList.Builder<PatchPlan> plans,
      ImmutableList.Builder<PatchPlan> bypasses) {
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
      EndsWriter writer, int function, Target target, ExitRun run, long address) {
    ImmutableMap.Builder<Long, Insertion> bodies = ImmutableMap.builder();
    for (long exit : run.exits()) {
      boolean isReturn = isReturn(target, run, exit);
      bodies.put(exit, at -> writer.exit(function, isReturn, at));
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

  private static boolean isReturn(Target target, ExitRun run, long exit) {
    long decoded =
        target.planner().decoder().decode(run.code(), (int) (exit - run.code().address()));
    return Decoded.isDecoded(decoded) && Decoded.flow(decoded) == Flow.RETURN;
  }

  /** Behind the slot stands a copy without bodies, for who is on the way when it comes or goes. */
  private static void plan(
      EndsWriter writer,
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
}
