package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.SharedMemory;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.DisplacingPlan;
import io.github.textpoke.x86.probe.Target.OwnJump;
import java.util.Optional;

/**
 * Counts calls.
 *
 * @param condition which of them
 * @param shared where the counters lie; empty: beside the code
 */
record CountSlots(
    ImmutableList<Target> targets,
    CounterTable table,
    CallCondition condition,
    ThreadKey key,
    Optional<SharedMemory> shared)
    implements ProbeSlots {
  private static final int JUMP_LENGTH = 5;

  /** What a slot begins with. */
  static final CodeBytes NOP = CodeBytes.ofHex("0f1f440000");

  /** Bytes of code for so many functions, without a condition. */
  static int codeSize(int functions) {
    return codeSize(functions, CallCondition.ALWAYS);
  }

  private static int codeSize(int functions, CallCondition condition) {
    return ProbeWriter.HEAD + functions * ProbeWriter.slotSize(condition);
  }

  @Override
  public int codeSize() {
    return codeSize(targets.size(), condition);
  }

  @Override
  public long dataSize() {
    return shared.isPresent() ? 0 : table.size();
  }

  @Override
  public CodeBytes initial(long data) {
    return shared.isPresent() ? CodeBytes.EMPTY : table.initial(data);
  }

  @Override
  public CodeBytes write(
      long code,
      long data,
      ImmutableList.Builder<PatchPlan> plans,
      ImmutableList.Builder<PatchPlan> bypasses) {
    ProbeWriter writer =
        new ProbeWriter(
            code,
            shared.map(SharedMemory::address).orElse(data),
            table,
            condition,
            key,
            shared.isPresent());
    for (int i = 0; i < targets.size(); i++) {
      Target target = targets.get(i);
      long slot = writer.nextSlot();
      long original = writer.slot(i, target.isInside(), at -> displaced(target, slot, at, plans));
      bypasses.add(bypass(target, slot, original));
    }
    return writer.bytes();
  }

  /** Leads past the body of a slot. */
  static PatchPlan bypass(Target target, long slot, long original) {
    CodeRegion nop = CodeRegion.of("probe slot", slot, NOP);
    return target.planner().replace(nop, slot, Assembly.jmp(original));
  }

  /** Plans the jump to the slot, and returns what goes on from there as the function did. */
  static CodeBytes displaced(
      Target target, long slot, long copy, ImmutableList.Builder<PatchPlan> plans) {
    if (target.jump().isPresent()) {
      // Whoever has put it there has proved that nobody enters what it stands for.
      OwnJump jump = target.jump().get();
      plans.add(target.planner().replace(jump.code(), target.site(), Assembly.jmp(slot)));
      return Assembly.jmp(jump.target()).at(copy, JUMP_LENGTH);
    }
    DisplacingPlan displacing =
        target.isBreakpoint()
            ? target.planner().stop(target.code(), target.site(), slot, copy)
            : target
                .planner()
                .displace(target.code(), target.site(), slot, copy, target.entrances());
    plans.add(displacing.plan());
    return displacing.copy().bytes();
  }

  @Override
  public Tally read(TargetProcess process, long data) {
    return Tally.of(
        shared
            .map(memory -> Counters.read(memory, table, memory.address()))
            .orElseGet(() -> Counters.read(process::read, table, data)));
  }

  @Override
  public void prepare(TargetProcess process) {
    // The rest is zero.
    shared.ifPresent(
        memory ->
            process
                .objectMemory()
                .write(
                    memory.address(),
                    table.initial(memory.address()).slice(0, Math.toIntExact(table.row(0)))));
  }

  @Override
  public void begin(TargetProcess process, long data) {}

  @Override
  public void pause(TargetProcess process, long data) {}
}
