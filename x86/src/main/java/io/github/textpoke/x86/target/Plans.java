package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.ENDS_STAY;
import static io.github.textpoke.apply.internal.SessionLayout.IMAGE;
import static io.github.textpoke.apply.internal.SessionLayout.LIST_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.MASKS;
import static io.github.textpoke.apply.internal.SessionLayout.OP_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.OP_BYTES;
import static io.github.textpoke.apply.internal.SessionLayout.OP_EVACUATE;
import static io.github.textpoke.apply.internal.SessionLayout.OP_EXPECTED;
import static io.github.textpoke.apply.internal.SessionLayout.OP_KIND;
import static io.github.textpoke.apply.internal.SessionLayout.OP_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.OP_PAUSE;
import static io.github.textpoke.apply.internal.SessionLayout.OP_PHASE;
import static io.github.textpoke.apply.internal.SessionLayout.OP_RUN;
import static io.github.textpoke.apply.internal.SessionLayout.OP_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.OP_STEP;
import static io.github.textpoke.apply.internal.SessionLayout.OP_SYNC;
import static io.github.textpoke.apply.internal.SessionLayout.OUTCOME_ROLLED_BACK;
import static io.github.textpoke.apply.internal.SessionLayout.OUTCOME_UNKNOWN;
import static io.github.textpoke.apply.internal.SessionLayout.OUTCOME_UNTOUCHED;
import static io.github.textpoke.apply.internal.SessionLayout.PHASES;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_BEGUN;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_BREAKPOINTS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_DISPLACES;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_DONE;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_NEXT;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_OPS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PAGES;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PHASE;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PROGRESS;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_RETIRED;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_SITES;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_UNDO;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_UNDONE;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_WARM;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_CHANGED;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_UNMAPPED;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_MOST;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_NEW;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_OLD;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.STAYS;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Binary;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Carries a plan out, step by step: compare, write, core sync, next. The protocol is in the plan's
 * steps, and in their order (PokeProtocol); here it is only obeyed. What goes wrong is undone by
 * the plan's steps back, of which each does only what is left to do.
 */
final class Plans {
  private static final Place FOUND = new Place(SCRATCH + 0x720);

  /** {@code apply(plan)}: brings it to its end, or back; the answer stands in {@link Shared}. */
  final Routine apply;

  /** {@code mend(plan)}: undo what another poker was killed in. */
  final Routine mend;

  /** {@code forget()}: no late traps can come any more. */
  final Routine forget;

  /** The target's memory, opened by who traces it. */
  final Slot memory;

  private final Emitter emitter;
  private final Shared shared;
  private final Leaves leaves;
  private final Events events;
  private final Evacuating evacuating;

  /** The plan that is under way. */
  private final Slot plan;

  private final Slot op;
  private final Slot step;
  private final Slot address;
  private final Slot windowStart;

  /** Whether what is done already may be left out: on the way back. */
  private final Slot lenient;

  /** Whether a write of the plan was tried. */
  private final Slot touched;

  private final Routine fetch;
  private final Routine standsFound;
  private final Routine fail;
  private final Routine compareSites;
  private final Routine isBetween;
  private final Routine write;
  private final Routine run;
  private final Routine pause;
  private final Routine steps;
  private final Routine undo;
  private final Routine begin;
  private final Routine end;

  Plans(Emitter emitter, Shared shared, Leaves leaves, Events events, Evacuating evacuating) {
    this.emitter = emitter;
    this.shared = shared;
    this.leaves = leaves;
    this.events = events;
    this.evacuating = evacuating;
    memory = events.breakpoints.standing.memory;
    plan = emitter.variable();
    op = emitter.variable();
    step = emitter.variable();
    address = emitter.variable();
    windowStart = emitter.variable();
    lenient = emitter.variable();
    touched = emitter.variable();
    fetch = fetch(emitter.variable(), emitter.variable(), emitter.variable());
    standsFound = standsFound(emitter.variable(), emitter.variable());
    fail = fail(emitter.variable(), emitter.variable());
    compareSites = compareSites(emitter.variable(), emitter.variable());
    isBetween = isBetween(emitter.variable(), emitter.variable());
    write = write(emitter.variable());
    run = run(emitter.variable(), emitter.variable());
    pause = pause(emitter.variable());
    steps = steps(emitter.variable(), emitter.variable(), emitter.variable());
    forget = forget(emitter.variable());
    begin = begin();
    end = end();
    undo = undo(emitter.variable());
    mend = mend(emitter.variable());
    apply = apply(emitter.variable(), emitter.variable(), emitter.variable());
  }

  private Routine fetch(Slot from, Slot to, Slot length) {
    return emitter.routine(
        "fetchCode",
        "copy code; what can't be read as data is read through /proc/PID/mem; 0, or it can't",
        ImmutableList.of(from, to, length),
        () -> {
          emitter.when(leaves.fetch.of(from, to, length).is(0), () -> emitter.give(0));
          emitter.when(
              Emitter.call(Sys.PREAD64, memory, to, length, from).is(length),
              () -> emitter.give(0));
          emitter.give(1);
        });
  }

  private Routine standsFound(Slot bytes, Slot length) {
    return emitter.routine(
        "standsFound",
        "whether the bytes that were fetched are those at an address",
        ImmutableList.of(bytes, length),
        () -> {
          for (int half = 0; half < SITE_MOST; half += Long.BYTES) {
            Value mask = new Place(MASKS).plus(length.times(SITE_MOST)).at(half);
            Value differing = new Binary(Operation.XOR, FOUND.at(half), bytes.at(half));
            emitter.when(
                new Binary(Operation.AND, differing, mask).isNot(0), () -> emitter.give(0));
          }
          emitter.give(1);
        });
  }

  private Routine fail(Slot result, Slot at) {
    return emitter.routine(
        "fail",
        "note what went wrong, and where",
        ImmutableList.of(result, at),
        () -> {
          emitter.set(Shared.RESULT, result);
          emitter.set(Shared.RESULT_ADDRESS, at);
          emitter.set(Shared.RESULT_STEP, step);
          emitter.store(Shared.RESULT_FOUND, 0, 8, FOUND.at(0));
          emitter.store(Shared.RESULT_FOUND, 8, 8, FOUND.at(8));
          emitter.give(result);
        });
  }

  private Routine compareSites(Slot site, Slot end) {
    return emitter.routine(
        "compareSites",
        "whether the old bytes stand at every site; 0, or what went wrong",
        ImmutableList.of(),
        () -> {
          emitter.set(site, plan.at(PLAN_SITES));
          emitter.set(end, site.plus(plan.at(PLAN_SITES + 8).times(SITE_SIZE)));
          emitter.loop(
              () -> {
                emitter.set(site, leaves.firstSuspect.of(site, end));
                emitter.when(site.is(0), () -> emitter.give(0));
                emitter.when(
                    fetch.of(site.at(SITE_ADDRESS), FOUND, site.intAt(SITE_LENGTH)).isNot(0),
                    () ->
                        emitter.when(
                            lenient.is(0),
                            () ->
                                emitter.give(
                                    fail.of(Value.of(RESULT_UNMAPPED), site.at(SITE_ADDRESS)))),
                    () ->
                        emitter.when(
                            standsFound.of(site.plus(SITE_OLD), site.intAt(SITE_LENGTH)).is(0),
                            () ->
                                emitter.give(
                                    fail.of(Value.of(RESULT_CHANGED), site.at(SITE_ADDRESS)))));
                emitter.add(site, SITE_SIZE);
              });
        });
  }

  /** A write that was cut off leaves each byte as before or as after it. */
  private Routine isBetween(Slot length, Slot index) {
    return emitter.routine(
        "isBetween",
        "whether each byte that was fetched is an expected or a new one, and more than the first",
        ImmutableList.of(length),
        () -> {
          emitter.when(length.is(1), () -> emitter.give(0));
          emitter.times(
              index,
              length,
              () -> {
                Value found = FOUND.plus(index).byteAt(0);
                emitter.when(
                    Emitter.both(
                        found.isNot(op.plus(index).byteAt(OP_EXPECTED)),
                        found.isNot(op.plus(index).byteAt(OP_BYTES))),
                    () -> emitter.give(0));
              });
          emitter.give(1);
        });
  }

  private Routine write(Slot length) {
    return emitter.routine(
        "write",
        "compare, then write; 0, or what went wrong",
        ImmutableList.of(),
        () -> {
          emitter.set(address, op.at(OP_ADDRESS));
          emitter.set(length, op.byteAt(OP_LENGTH));
          emitter.when(
              fetch.of(address, FOUND, length).isNot(0),
              () -> emitter.give(fail.of(Value.of(RESULT_UNMAPPED), address)));
          emitter.when(
              standsFound.of(op.plus(OP_EXPECTED), length).is(0),
              () ->
                  emitter.when(
                      Emitter.either(lenient.is(0), isBetween.of(length).is(0)),
                      () -> emitter.give(fail.of(Value.of(RESULT_CHANGED), address))));
          emitter.set(touched, 1);
          emitter.when(
              Emitter.call(Sys.PWRITE64, memory, op.plus(OP_BYTES), length, address).isNot(length),
              () -> emitter.give(fail.of(Value.of(RESULT_UNMAPPED), address)));
        });
  }

  private Routine run(Slot length, Slot other) {
    return emitter.routine(
        "run",
        "the writes behind this step, as one that holds the bytes between them as well",
        ImmutableList.of(),
        () -> {
          emitter.set(address, op.at(OP_ADDRESS));
          emitter.set(length, op.at(OP_EXPECTED));
          emitter.when(
              fetch.of(address, new Place(IMAGE), length).isNot(0),
              () -> emitter.give(fail.of(Value.of(RESULT_UNMAPPED), address)));
          emitter.set(
              other,
              leaves.edit.of(op.plus(OP_SIZE), op.at(OP_BYTES), new Place(IMAGE).minus(address)));
          emitter.when(
              other.isNot(0),
              () -> {
                emitter.set(step, other.intAt(OP_STEP));
                emitter.run(fetch, other.at(OP_ADDRESS), FOUND, other.byteAt(OP_LENGTH));
                emitter.give(fail.of(Value.of(RESULT_CHANGED), other.at(OP_ADDRESS)));
              });
          emitter.set(touched, 1);
          emitter.when(
              Emitter.call(Sys.PWRITE64, memory, new Place(IMAGE), length, address).isNot(length),
              () -> emitter.give(fail.of(Value.of(RESULT_UNMAPPED), address)));
        });
  }

  private Routine pause(Slot deadline) {
    return emitter.routine(
        "pause",
        "a test looks at what a step has left behind; not for ever",
        ImmutableList.of(),
        () -> {
          emitter.set(deadline, shared.now.of().plus(Shared.LEASE));
          emitter.set(Shared.PAUSED, step.plus(1));
          shared.wake(Shared.PAUSED);
          emitter.loopWhile(
              Emitter.both(Shared.GO_ON.isNot(Shared.PAUSED), shared.now.of().isLess(deadline)),
              () ->
                  emitter.compute(
                      shared.await(
                          Shared.GO_ON, Shared.GO_ON, new Quotient(Shared.LEASE, 8, false))));
          emitter.set(Shared.PAUSED, 0);
        });
  }

  private Routine steps(Slot first, Slot end, Slot result) {
    return emitter.routine(
        "steps",
        "one by one; 0, or what went wrong",
        ImmutableList.of(first, end),
        () -> {
          emitter.set(op, first);
          emitter.loopWhile(
              op.isBelow(end),
              () -> {
                emitter.set(step, op.intAt(OP_STEP));
                emitter.note("who has trapped where instructions are displaced does not wait");
                emitter.when(
                    events.breakpoints.underWay.isNot(0), () -> emitter.run(events.takeAll));
                emitter.when(
                    Emitter.both(lenient.is(0), plan.at(PLAN_PROGRESS).isNot(0)),
                    () ->
                        emitter.store(
                            plan.at(PLAN_PROGRESS), 0, 8, step.plus(plan.at(PLAN_BEGUN))));
                emitter.set(result, 0);
                emitter.when(
                    op.byteAt(OP_KIND).is(OP_SYNC),
                    emitter::coreSync,
                    () ->
                        emitter.when(
                            op.byteAt(OP_KIND).is(OP_RUN),
                            () -> {
                              emitter.set(result, run.of());
                              emitter.set(op, op.plus(op.at(OP_BYTES).times(OP_SIZE)));
                            },
                            () ->
                                emitter.when(
                                    op.byteAt(OP_KIND).is(OP_PAUSE),
                                    () -> emitter.run(pause),
                                    () ->
                                        emitter.when(
                                            op.byteAt(OP_KIND).is(OP_PHASE),
                                            () ->
                                                emitter.store(
                                                    plan, PLAN_PHASE, 8, op.byteAt(OP_LENGTH)),
                                            () ->
                                                emitter.when(
                                                    op.byteAt(OP_KIND).is(OP_EVACUATE),
                                                    () -> evacuate(result),
                                                    () -> emitter.set(result, write.of()))))));
                emitter.when(
                    Emitter.both(result.isNot(0), lenient.is(0)), () -> emitter.give(result));
                emitter.add(op, OP_SIZE);
              });
        });
  }

  /** On the way there the old instructions have to go, on the way back the new ones. */
  private void evacuate(Slot result) {
    emitter.when(
        lenient.is(0),
        () -> {
          emitter.set(result, evacuating.evacuate.of(plan, Value.of(SITE_OLD)));
          emitter.when(result.is(0), () -> emitter.set(result, evacuating.awaitContexts.of(plan)));
        },
        () -> emitter.set(result, evacuating.evacuate.of(plan, Value.of(SITE_NEW))));
    emitter.when(result.isNot(0), () -> emitter.give(result));
  }

  private Routine begin() {
    return emitter.routine(
        "beginWindow",
        "from now on breakpoints of the plan may stand",
        ImmutableList.of(),
        () -> {
          emitter.set(events.breakpoints.current, plan);
          emitter.set(events.breakpoints.underWay, plan.at(PLAN_DISPLACES));
          emitter.note("a trap of the program's own may be taken before one that resets a handler");
          emitter.set(events.holding, plan.at(PLAN_DISPLACES));
        });
  }

  private Routine end() {
    return emitter.routine(
        "endWindow",
        "those that have trapped meanwhile run their site again",
        ImmutableList.of(),
        () -> {
          emitter.set(events.breakpoints.underWay, 0);
          emitter.set(events.holding, 1);
          emitter.run(events.takeAll);
          emitter.set(events.holding, 0);
          emitter.run(events.releaseParked);
          emitter.run(events.settle);
        });
  }

  private Routine mend(Slot mended) {
    return emitter.routine(
        "mend",
        "undo what another poker was killed in",
        ImmutableList.of(mended),
        () -> {
          emitter.set(plan, mended);
          emitter.run(begin);
          emitter.run(undo, plan);
          emitter.run(end);
        });
  }

  private Routine undo(Slot undone) {
    Slot list = emitter.variable();
    return emitter.routine(
        "undo",
        "the steps back, as far as they are needed: one that meets other bytes is left out",
        ImmutableList.of(undone),
        () -> {
          emitter.set(plan, undone);
          emitter.set(lenient, 1);
          emitter.set(list, plan.plus(PLAN_UNDO).plus(plan.at(PLAN_PHASE).times(LIST_SIZE)));
          emitter.when(
              steps.of(list.at(0), end(list)).isNot(0),
              () -> {
                emitter.note("a thread stays inside of the new instructions, so they stay, too");
                emitter.set(list, plan.plus(PLAN_UNDO + PHASES * LIST_SIZE));
                emitter.run(steps, list.at(0), end(list));
              });
          emitter.note("what is not mapped any more holds nothing of ours");
          emitter.set(Shared.RESULT_OUTCOME, OUTCOME_ROLLED_BACK);
          emitter.when(
              compareSites.of().isNot(0),
              () -> emitter.set(Shared.RESULT_OUTCOME, OUTCOME_UNKNOWN),
              () ->
                  emitter.when(
                      plan.at(PLAN_PROGRESS).isNot(0),
                      () -> emitter.store(plan.at(PLAN_PROGRESS), 0, 8, plan.at(PLAN_UNDONE))));
          emitter.set(lenient, 0);
        });
  }

  private static Value end(Value list) {
    return list.at(0).plus(list.at(8).times(OP_SIZE));
  }

  private Routine forget(Slot next) {
    return emitter.routine(
        "forget",
        "no late traps can come any more",
        ImmutableList.of(),
        () -> {
          emitter.set(events.breakpoints.current, 0);
          emitter.loopWhile(
              events.breakpoints.retired.isNot(0),
              () -> {
                emitter.set(next, events.breakpoints.retired.at(PLAN_NEXT));
                emitter.store(events.breakpoints.retired, PLAN_RETIRED, 8, Value.of(0));
                emitter.set(events.breakpoints.retired, next);
              });
        });
  }

  private Routine apply(Slot applied, Slot index, Slot start) {
    Slot number = emitter.variable();
    Slot result = emitter.variable();
    Slot failedResult = emitter.variable();
    Slot failedAddress = emitter.variable();
    Slot failedStep = emitter.variable();
    Slot failedFound = emitter.variable();
    Slot failedFoundToo = emitter.variable();
    return emitter.routine(
        "apply",
        "carry a plan out",
        ImmutableList.of(applied, number),
        () -> {
          emitter.set(plan, applied);
          emitter.set(step, -1);
          emitter.set(touched, 0);
          emitter.set(Shared.RESULT, 0);
          emitter.set(Shared.RESULT_OUTCOME, OUTCOME_UNTOUCHED);
          emitter.set(Shared.PARKED, 0);
          emitter.set(start, shared.now.of());
          emitter.note("before the first write: the old bytes stand");
          emitter.when(compareSites.of().isNot(0), () -> emitter.give(0));
          emitter.note("the first write to a page copies it: not in the window");
          emitter.when(
              plan.at(PLAN_WARM).isNot(events.forks.plus(1)),
              () -> {
                emitter.times(index, plan.at(PLAN_PAGES + 8), () -> copyPage(index));
                emitter.store(plan, PLAN_WARM, 8, events.forks.plus(1));
              });
          emitter.run(events.breakpoints.standing.retire, plan);
          emitter.note("the window");
          emitter.store(plan, PLAN_PHASE, 8, Value.of(0));
          emitter.run(begin);
          emitter.set(Shared.UNDER_WAY, plan);
          emitter.set(windowStart, shared.now.of());
          emitter.set(result, steps.of(plan.at(PLAN_OPS), end(plan.plus(PLAN_OPS))));
          emitter.when(
              result.is(0),
              () -> {
                emitter.when(
                    plan.at(PLAN_BREAKPOINTS).has(STAYS),
                    () -> emitter.run(events.breakpoints.standing.add, plan));
                emitter.when(
                    plan.at(PLAN_PROGRESS).isNot(0),
                    () -> emitter.store(plan.at(PLAN_PROGRESS), 0, 8, plan.at(PLAN_DONE)));
              },
              () -> {
                emitter.set(failedResult, Shared.RESULT);
                emitter.set(failedAddress, Shared.RESULT_ADDRESS);
                emitter.set(failedStep, Shared.RESULT_STEP);
                emitter.set(failedFound, Shared.RESULT_FOUND.at(0));
                emitter.set(failedFoundToo, Shared.RESULT_FOUND.at(8));
                emitter.when(
                    Emitter.both(failedStep.is(0), touched.is(0)),
                    () -> {
                      emitter.note("nothing was written, so nothing is taken back");
                      emitter.when(
                          plan.at(PLAN_PROGRESS).isNot(0),
                          () -> emitter.store(plan.at(PLAN_PROGRESS), 0, 8, plan.at(PLAN_UNDONE)));
                    },
                    () -> emitter.run(undo, plan));
                emitter.set(Shared.RESULT, failedResult);
                emitter.set(Shared.RESULT_ADDRESS, failedAddress);
                emitter.set(Shared.RESULT_STEP, failedStep);
                emitter.store(Shared.RESULT_FOUND, 0, 8, failedFound);
                emitter.store(Shared.RESULT_FOUND, 8, 8, failedFoundToo);
              });
          emitter.set(Shared.NANOS, shared.now.of().minus(start));
          emitter.note("a poker that comes after us says what we have done");
          emitter.set(Shared.FINISHED, number);
          emitter.set(Shared.UNDER_WAY, 0);
          emitter.note("while it was under way, the way back would have had them stand again");
          emitter.when(
              Emitter.both(result.is(0), plan.at(PLAN_BREAKPOINTS).has(ENDS_STAY)),
              () -> emitter.run(events.breakpoints.standing.remove, plan.at(PLAN_PROGRESS)));
          emitter.run(end);
          emitter.set(Shared.WINDOW_NANOS, shared.now.of().minus(windowStart));
        });
  }

  private void copyPage(Slot index) {
    emitter.set(address, plan.at(PLAN_PAGES).plus(index.times(Long.BYTES)).at(0));
    emitter.when(
        Emitter.either(
            fetch.of(address, FOUND, Value.of(1)).isNot(0),
            Emitter.call(Sys.PWRITE64, memory, FOUND, Value.of(1), address).isNot(1)),
        () -> {
          emitter.run(fail, Value.of(RESULT_UNMAPPED), address);
          emitter.give(0);
        });
  }
}
