package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.PLAN_BEGUN;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_NEXT;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PROGRESS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_SITES;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * A child that was forked in the middle of a plan has inherited its bytes as they stood, and nobody
 * who would take its traps. When it reports itself the plan is over in the parent; the child is
 * still stopped, with one thread, so it gets the parent's bytes, and the parent's word on them in
 * the ledger.
 */
final class Children {
  private static final Place BYTES = new Place(SCRATCH + 0x760);
  private static final Slot INHERITED = new Slot(SCRATCH + 0x780, 8);
  private static final int BREAKPOINT = 0xcc;

  /** {@code settle(child)}. */
  final Routine settle;

  private final Emitter emitter;
  private final Leaves leaves;
  private final Routine breakpointAt;
  private final Slot memory;
  private final Slot plan;
  private final Slot index;
  private final Slot at;

  Children(Emitter emitter, Leaves leaves, ProcFiles files, Routine breakpointAt, Slot retired) {
    this.emitter = emitter;
    this.leaves = leaves;
    this.breakpointAt = breakpointAt;
    memory = emitter.variable();
    plan = emitter.variable();
    index = emitter.variable();
    at = emitter.variable();
    Slot child = emitter.variable();
    Routine differs = differs();
    Routine copy = copy();
    settle =
        emitter.routine(
            "settleChild",
            "make the sites of a stopped child whole",
            ImmutableList.of(child),
            () -> {
              emitter.when(retired.is(0), () -> emitter.give(0));
              emitter.run(files.path, child, ProcFiles.word("/mem"));
              emitter.set(memory, files.open.of(Value.of(Sys.O_RDWR | Sys.O_CLOEXEC)));
              emitter.when(memory.isLess(0), () -> emitter.give(0));
              emitter.set(plan, retired);
              emitter.loopWhile(
                  plan.isNot(0),
                  () -> {
                    emitter.when(differs.of().isNot(0), () -> emitter.run(copy));
                    emitter.set(plan, plan.at(PLAN_NEXT));
                  });
              emitter.system(Sys.CLOSE, memory);
            });
  }

  private Value read(Value to, int length, Value address) {
    return Emitter.call(Sys.PREAD64, memory, to, Value.of(length), address);
  }

  private Routine differs() {
    return emitter.routine(
        "differs",
        "whether the child was made in the middle of the plan",
        ImmutableList.of(),
        () -> {
          emitter.when(
              plan.at(PLAN_PROGRESS).isNot(0),
              () -> {
                emitter.when(
                    read(INHERITED.address(), 8, plan.at(PLAN_PROGRESS)).isNot(8),
                    () -> emitter.give(0));
                emitter.note("one that was made before the plan began keeps what it has");
                emitter.when(
                    INHERITED
                        .shiftedRight(Integer.SIZE)
                        .is(plan.at(PLAN_BEGUN).shiftedRight(Integer.SIZE)),
                    () -> emitter.give(1));
              });
          emitter.times(
              index,
              plan.at(PLAN_SITES + 8),
              () -> {
                emitter.set(at, site().at(SITE_ADDRESS));
                emitter.when(
                    Emitter.both(read(BYTES, 1, at).is(1), BYTES.byteAt(0).is(BREAKPOINT)),
                    () -> emitter.when(breakpointAt.of(at).is(0), () -> emitter.give(1)));
              });
        });
  }

  private Value site() {
    return plan.at(PLAN_SITES).plus(index.times(SITE_SIZE));
  }

  private Routine copy() {
    return emitter.routine(
        "copySites",
        "the parent's bytes, and its progress word",
        ImmutableList.of(),
        () -> {
          emitter.times(
              index,
              plan.at(PLAN_SITES + 8),
              () -> {
                emitter.set(at, site());
                emitter.when(
                    leaves.fetch.of(at.at(SITE_ADDRESS), BYTES, at.intAt(SITE_LENGTH)).is(0),
                    () ->
                        emitter.system(
                            Sys.PWRITE64,
                            memory,
                            BYTES,
                            at.intAt(SITE_LENGTH),
                            at.at(SITE_ADDRESS)));
              });
          emitter.when(
              plan.at(PLAN_PROGRESS).isNot(0),
              () ->
                  emitter.system(
                      Sys.PWRITE64,
                      memory,
                      plan.at(PLAN_PROGRESS),
                      Value.of(8),
                      plan.at(PLAN_PROGRESS)));
        });
  }
}
