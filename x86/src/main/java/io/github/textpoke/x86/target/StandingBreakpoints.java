package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.PLAN_NEXT;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PROGRESS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_RETIRED;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_SITES;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_STANDING_NEXT;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_STANDS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_UNDONE;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_COPIES;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_NEW;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_OLD;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.SLEEPS;
import static io.github.textpoke.apply.internal.SessionLayout.STANDS;
import static io.github.textpoke.apply.internal.SessionLayout.STANDS_NOT;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Breakpoints that stay when their plan is over: who meets one goes on where the plan says. That
 * takes a tracer, so they stand only while the threads are traced. Before the poker lets go, it
 * puts them to sleep: the old bytes stand then. Whoever holds the threads next wakes them.
 *
 * <p>Which plans these are is kept in the session's memory, which outlives the poker: one that is
 * killed is followed by another that goes on with them.
 */
final class StandingBreakpoints {
  private static final Place FOUND = new Place(SCRATCH + 0x740);

  /** {@code add(plan)}: it is done, and its breakpoints stand. */
  final Routine add;

  /** {@code remove(progress)}: those of the patch with that progress word stand no more. */
  final Routine remove;

  /**
   * {@code destination(address)}: where who has met a breakpoint goes on; 0: none that stays stands
   * there. Its site is in {@link #met} then.
   */
  final Routine destination;

  /** {@code wake()}: has all breakpoints stand. */
  final Routine wake;

  /** {@code anySleeps()}: whether some sleep. */
  final Routine anySleeps;

  /** {@code sleep()}: has all old bytes stand. */
  final Routine sleep;

  /** {@code takeFrom(memory)}: takes the breakpoints that a child has inherited out of it. */
  final Routine takeFrom;

  /** {@code retire(plan)}: late traps of a plan may come from now on. */
  final Routine retire;

  /** See {@link #destination}. */
  final Slot met;

  /** The target's memory, opened by who traces it. */
  final Slot memory;

  private final Emitter emitter;
  private final Sites sites;
  private final Slot plan;
  private final Slot index;
  private final Slot site;
  private final Routine put;

  /**
   * @param retired the first of the plans whose late traps may come
   */
  StandingBreakpoints(Emitter emitter, Sites sites, Slot retired) {
    this.emitter = emitter;
    this.sites = sites;
    met = emitter.variable();
    memory = emitter.variable();
    plan = emitter.variable();
    index = emitter.variable();
    site = emitter.variable();
    retire = retire(emitter.variable(), retired);
    add = add(emitter.variable());
    remove = remove(emitter.variable(), emitter.variable());
    destination = destination(emitter.variable(), emitter.variable());
    put = put(emitter.variable(), emitter.variable(), emitter.variable(), emitter.variable());
    wake = wake(emitter.variable());
    sleep = sleep();
    anySleeps =
        emitter.routine(
            "anySleeps",
            "whether breakpoints sleep that are to stand",
            ImmutableList.of(),
            () ->
                forEach(
                    () -> emitter.when(plan.at(PLAN_STANDS).is(SLEEPS), () -> emitter.give(1))));
    takeFrom = takeFrom(emitter.variable());
  }

  private static Value.Test stays(Value site) {
    return Emitter.both(site.byteAt(SITE_NEW).is(Sites.BREAKPOINT), site.at(SITE_COPIES).isNot(0));
  }

  private Routine retire(Slot late, Slot retired) {
    return emitter.routine(
        "retire",
        "late traps of a plan may come",
        ImmutableList.of(late),
        () ->
            emitter.when(
                late.at(PLAN_RETIRED).is(0),
                () -> {
                  emitter.store(late, PLAN_NEXT, 8, retired);
                  emitter.store(late, PLAN_RETIRED, 8, Value.of(1));
                  emitter.set(retired, late);
                }));
  }

  private Routine add(Slot added) {
    return emitter.routine(
        "addStanding",
        "the breakpoints of a plan stay",
        ImmutableList.of(added),
        () -> {
          emitter.when(
              added.at(PLAN_STANDS).is(STANDS_NOT),
              () -> {
                emitter.store(added, PLAN_STANDING_NEXT, 8, Shared.STANDING);
                emitter.note("whoever follows us finds it from here on");
                emitter.set(Shared.STANDING, added);
              });
          emitter.store(added, PLAN_STANDS, 8, Value.of(STANDS));
        });
  }

  private Routine remove(Slot progress, Slot before) {
    return emitter.routine(
        "removeStanding",
        "the breakpoints of the patch with that progress word stand no more",
        ImmutableList.of(progress),
        () -> {
          emitter.set(before, 0);
          emitter.set(plan, Shared.STANDING);
          emitter.loopWhile(
              plan.isNot(0),
              () -> {
                emitter.when(
                    plan.at(PLAN_PROGRESS).is(progress),
                    () -> {
                      unlink(before);
                      emitter.store(plan, PLAN_STANDS, 8, Value.of(STANDS_NOT));
                    },
                    () -> emitter.set(before, plan));
                emitter.set(plan, plan.at(PLAN_STANDING_NEXT));
              });
        });
  }

  /** By one store: we may be killed at any point. */
  private void unlink(Slot before) {
    emitter.when(
        before.is(0),
        () -> emitter.set(Shared.STANDING, plan.at(PLAN_STANDING_NEXT)),
        () -> emitter.store(before, PLAN_STANDING_NEXT, 8, plan.at(PLAN_STANDING_NEXT)));
  }

  private Routine destination(Slot address, Slot looked) {
    return emitter.routine(
        "standingAt",
        "where who has met a breakpoint that stays goes on; 0: none stands there",
        ImmutableList.of(address),
        () -> {
          emitter.set(looked, Shared.STANDING);
          emitter.loopWhile(
              looked.isNot(0),
              () -> {
                emitter.when(
                    looked.at(PLAN_STANDS).is(STANDS),
                    () -> {
                      emitter.set(met, sites.around.of(looked, address));
                      emitter.when(
                          met.isNot(0),
                          () ->
                              emitter.when(
                                  Emitter.both(met.at(SITE_ADDRESS).is(address), stays(met)),
                                  () -> emitter.give(met.at(SITE_COPIES).at(0))));
                    });
                emitter.set(looked, looked.at(PLAN_STANDING_NEXT));
              });
        });
  }

  /** Only where the other bytes of the two stand: what somebody else has put there stays. */
  private Routine put(Slot file, Slot from, Slot to, Slot same) {
    Slot offset = emitter.variable();
    return emitter.routine(
        "putFirstBytes",
        "the first byte of each site of the plan at which a breakpoint stays",
        ImmutableList.of(file, from, to),
        () ->
            emitter.times(
                index,
                plan.at(PLAN_SITES + 8),
                () -> {
                  emitter.set(site, plan.at(PLAN_SITES).plus(index.times(SITE_SIZE)));
                  emitter.when(
                      stays(site),
                      () -> {
                        emitter.set(same, 0);
                        emitter.when(
                            Emitter.call(
                                    Sys.PREAD64,
                                    file,
                                    FOUND,
                                    site.intAt(SITE_LENGTH),
                                    site.at(SITE_ADDRESS))
                                .is(site.intAt(SITE_LENGTH)),
                            () -> emitter.set(same, 1));
                        emitter.times(
                            offset,
                            site.intAt(SITE_LENGTH),
                            () ->
                                emitter.when(
                                    FOUND
                                        .plus(offset)
                                        .byteAt(0)
                                        .isNot(site.plus(from).plus(offset).byteAt(0)),
                                    () -> emitter.set(same, 0)));
                        emitter.when(
                            same.isNot(0),
                            () ->
                                emitter.system(
                                    Sys.PWRITE64,
                                    file,
                                    site.plus(to),
                                    Value.of(1),
                                    site.at(SITE_ADDRESS)));
                      });
                }));
  }

  private Routine wake(Slot before) {
    return emitter.routine(
        "wake",
        "all breakpoints that stay stand, but those that were reverted before another was killed",
        ImmutableList.of(),
        () -> {
          emitter.when(Shared.STANDING.is(0), () -> emitter.give(0));
          emitter.set(before, 0);
          emitter.set(plan, Shared.STANDING);
          emitter.loopWhile(
              plan.isNot(0),
              () -> {
                emitter.when(
                    plan.at(PLAN_PROGRESS).at(0).is(plan.at(PLAN_UNDONE)),
                    () -> {
                      unlink(before);
                      emitter.store(plan, PLAN_STANDS, 8, Value.of(STANDS_NOT));
                    },
                    () -> {
                      emitter.run(retire, plan);
                      emitter.store(plan, PLAN_STANDS, 8, Value.of(STANDS));
                      emitter.run(put, memory, Value.of(SITE_OLD), Value.of(SITE_NEW));
                      emitter.set(before, plan);
                    });
                emitter.set(plan, plan.at(PLAN_STANDING_NEXT));
              });
          emitter.coreSync();
        });
  }

  private Routine sleep() {
    return emitter.routine(
        "sleep",
        "nobody would take the traps any more: the old bytes stand, as long as nobody does",
        ImmutableList.of(),
        () -> {
          emitter.when(Shared.STANDING.is(0), () -> emitter.give(0));
          forEach(
              () -> {
                emitter.run(put, memory, Value.of(SITE_NEW), Value.of(SITE_OLD));
                emitter.store(plan, PLAN_STANDS, 8, Value.of(SLEEPS));
              });
          emitter.coreSync();
        });
  }

  private void forEach(Runnable body) {
    emitter.set(plan, Shared.STANDING);
    emitter.loopWhile(
        plan.isNot(0),
        () -> {
          body.run();
          emitter.set(plan, plan.at(PLAN_STANDING_NEXT));
        });
  }

  private Routine takeFrom(Slot child) {
    return emitter.routine(
        "takeFromChild",
        "nobody takes the traps of a child that has memory of its own",
        ImmutableList.of(child),
        () -> forEach(() -> emitter.run(put, child, Value.of(SITE_NEW), Value.of(SITE_OLD))));
  }
}
