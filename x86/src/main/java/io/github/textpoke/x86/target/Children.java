package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.PLAN_BEGUN;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_NEXT;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PROGRESS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_SITES;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_UNDONE;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_OLD;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SEVERAL;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * A child that was forked in the middle of a plan has inherited its bytes as they stood, and nobody
 * who would take its traps. When it reports itself it is still stopped, with one thread, outside of
 * every site. Where the plan is over in the parent it gets the parent's bytes, else the old ones,
 * and a word on them in the ledger.
 *
 * <p>Its stack is a copy of its parent's, which may lead back inside of a site that displaces,
 * where it was forked before the evacuation: then the several instructions stand there still. So it
 * keeps them, and with them all that was before the plan.
 */
final class Children {
  private static final Place BYTES = new Place(SCRATCH + 0x760);
  private static final Slot INHERITED = new Slot(SCRATCH + 0x780, 8);

  /** {@code settle(child)}. */
  final Routine settle;

  private final Emitter emitter;
  private final Leaves leaves;
  private final Sites sites;
  private final Breakpoints breakpoints;
  private final Slot memory;
  private final Slot plan;
  private final Slot index;
  private final Slot at;

  /** Whether the plan is under way in the parent, so that its bytes are nobody's example. */
  private final Slot unfinished;

  /** Whether the child gets what was before the plan. */
  private final Slot old;

  private final Routine standsThere;

  Children(Emitter emitter, Leaves leaves, ProcFiles files, Sites sites, Breakpoints breakpoints) {
    this.emitter = emitter;
    this.leaves = leaves;
    this.sites = sites;
    this.breakpoints = breakpoints;
    memory = emitter.variable();
    plan = emitter.variable();
    index = emitter.variable();
    at = emitter.variable();
    unfinished = emitter.variable();
    old = emitter.variable();
    Slot child = emitter.variable();
    Routine differs = differs();
    standsThere = standsThere();
    Routine decide = decide();
    Routine copy = copy();
    settle =
        emitter.routine(
            "settleChild",
            "make the sites of a stopped child whole",
            ImmutableList.of(child),
            () -> {
              emitter.when(breakpoints.retired.is(0), () -> emitter.give(0));
              emitter.run(files.path, child, ProcFiles.word("/mem"));
              emitter.set(memory, files.open.of(Value.of(Sys.O_RDWR | Sys.O_CLOEXEC)));
              emitter.when(memory.isLess(0), () -> emitter.give(0));
              emitter.set(plan, breakpoints.retired);
              emitter.loopWhile(
                  plan.isNot(0),
                  () -> {
                    emitter.set(unfinished, 0);
                    emitter.when(
                        plan.is(breakpoints.current),
                        () -> emitter.set(unfinished, breakpoints.underWay));
                    emitter.when(
                        differs.of().isNot(0),
                        () -> {
                          emitter.run(decide);
                          emitter.run(copy);
                        });
                    emitter.set(plan, plan.at(PLAN_NEXT));
                  });
              emitter.run(breakpoints.standing.takeFrom, memory);
              emitter.system(Sys.CLOSE, memory);
            });
  }

  private Value read(Value to, Value length, Value address) {
    return Emitter.call(Sys.PREAD64, memory, to, length, address);
  }

  private void write(Value from, Value length, Value address) {
    emitter.system(Sys.PWRITE64, memory, from, length, address);
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
                    read(INHERITED.address(), Value.of(8), plan.at(PLAN_PROGRESS)).isNot(8),
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
                    Emitter.both(
                        read(BYTES, Value.of(1), at).is(1), BYTES.byteAt(0).is(Sites.BREAKPOINT)),
                    () ->
                        emitter.when(
                            Emitter.either(unfinished.isNot(0), breakpoints.standsAt.of(at).is(0)),
                            () -> emitter.give(1)));
              });
        });
  }

  private Value site() {
    return plan.at(PLAN_SITES).plus(index.times(SITE_SIZE));
  }

  private Routine standsThere() {
    return emitter.routine(
        "standsThere",
        "whether the several instructions of a site stand in the child",
        ImmutableList.of(),
        () -> {
          emitter.when(at.shortAt(SITE_SEVERAL).is(0), () -> emitter.give(0));
          emitter.when(
              read(BYTES, at.intAt(SITE_LENGTH), at.at(SITE_ADDRESS)).isNot(at.intAt(SITE_LENGTH)),
              () -> emitter.give(0));
          emitter.give(sites.standIn.of(at, BYTES));
        });
  }

  private Routine decide() {
    return emitter.routine(
        "decide",
        "whether the child gets what was before the plan",
        ImmutableList.of(),
        () -> {
          emitter.set(old, unfinished);
          emitter.times(
              index,
              plan.at(PLAN_SITES + 8),
              () -> {
                emitter.set(at, site());
                emitter.when(
                    at.shortAt(SITE_SEVERAL).is(SITE_OLD),
                    () -> emitter.when(standsThere.of().isNot(0), () -> emitter.set(old, 1)));
              });
        });
  }

  private Routine copy() {
    return emitter.routine(
        "copySites",
        "the old bytes, or the parent's, and a progress word",
        ImmutableList.of(),
        () -> {
          emitter.times(
              index,
              plan.at(PLAN_SITES + 8),
              () -> {
                emitter.set(at, site());
                emitter.when(
                    standsThere.of().isNot(0),
                    () -> {
                      emitter.note("threads may stand inside, or come back there");
                      write(
                          at.plus(at.shortAt(SITE_SEVERAL)),
                          at.intAt(SITE_LENGTH),
                          at.at(SITE_ADDRESS));
                    },
                    () ->
                        emitter.when(
                            old.isNot(0),
                            () ->
                                write(
                                    at.plus(SITE_OLD), at.intAt(SITE_LENGTH), at.at(SITE_ADDRESS)),
                            () ->
                                emitter.when(
                                    leaves
                                        .fetch
                                        .of(at.at(SITE_ADDRESS), BYTES, at.intAt(SITE_LENGTH))
                                        .is(0),
                                    () ->
                                        write(BYTES, at.intAt(SITE_LENGTH), at.at(SITE_ADDRESS)))));
              });
          emitter.when(
              plan.at(PLAN_PROGRESS).isNot(0),
              () ->
                  emitter.when(
                      old.isNot(0),
                      () -> write(plan.plus(PLAN_UNDONE), Value.of(8), plan.at(PLAN_PROGRESS)),
                      () -> write(plan.at(PLAN_PROGRESS), Value.of(8), plan.at(PLAN_PROGRESS))));
        });
  }
}
