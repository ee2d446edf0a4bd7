package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.A_CONTEXT;
import static io.github.textpoke.apply.internal.SessionLayout.IMAGE;
import static io.github.textpoke.apply.internal.SessionLayout.LISTING;
import static io.github.textpoke.apply.internal.SessionLayout.LISTING_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.LOOK_FOR_CONTEXTS;
import static io.github.textpoke.apply.internal.SessionLayout.NO_CONTEXT;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_PATIENCE;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_EVACUATION;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_EXECED;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_GONE;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.STACKS;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Evacuates sites: afterwards no thread stands on a boundary inside, or will.
 *
 * <ol>
 *   <li>A thread that does not run is not stopped: the kernel tells where it will go on, and where
 *       its stack is.
 *   <li>One that runs is interrupted on its own, for as long as it takes to read its registers and
 *       its stack. A trap of ours that it has to report comes first.
 *   <li>One that stands inside goes on in the copy.
 *   <li>One whose stack holds the address of a boundary is waited for: a handler of a signal that
 *       has interrupted it there returns to the boundary. There stands a breakpoint, which moves
 *       it.
 * </ol>
 *
 * <p>Events are taken all the time. Who is born meanwhile comes from a system call, and stands
 * outside.
 */
final class Evacuating {
  private static final int LOOK_NANOS = 50_000;
  private static final int LOOK_AGAIN_NANOS = 100_000;
  private static final int LOOK_AGAIN_MOST_NANOS = 20_000_000;

  /** How long a thread that was asked to stop may take, before it is looked at from outside. */
  private static final int STOP_NANOS = 2_000_000;

  /** So often an event is waited for before we sleep, whatever happens. */
  private static final int ROUNDS = 4;

  /** So many threads are looked at between two looks at what has happened; a power of two. */
  private static final int BETWEEN_EVENTS = 16;

  private static final int SIGINFO = SCRATCH + 0x100;

  /** {@code evacuate(plan, kind)}: 0, or a RESULT, and what holds whom stands in {@link Shared}. */
  final Routine evacuate;

  /**
   * {@code awaitContexts(plan)}: has the JVM look for contexts that no thread runs; 0, or a RESULT.
   */
  final Routine awaitContexts;

  private final Emitter emitter;
  private final Shared shared;
  private final ProcFiles files;
  private final ThreadFiles threadFiles;
  private final Threads threads;
  private final Sites sites;
  private final Evacuees evacuees;
  private final Events events;
  private final Seizing seizing;
  private final HexNumbers hex;
  private final Slot entry;
  private final Slot index;
  private final Routine readMappings;
  private final Routine ask;
  private final Routine look;
  private final Routine end;

  Evacuating(
      Emitter emitter,
      Shared shared,
      ProcFiles files,
      ThreadFiles threadFiles,
      Threads threads,
      Sites sites,
      Evacuees evacuees,
      Events events,
      Seizing seizing) {
    this.emitter = emitter;
    this.shared = shared;
    this.files = files;
    this.threadFiles = threadFiles;
    this.threads = threads;
    this.sites = sites;
    this.evacuees = evacuees;
    this.events = events;
    this.seizing = seizing;
    entry = emitter.variable();
    index = emitter.variable();
    hex = new HexNumbers(emitter, threadFiles);
    readMappings = readMappings(emitter.variable(), emitter.variable(), emitter.variable());
    ask = ask();
    look = look(emitter.variable(), emitter.variable(), emitter.variable());
    end = end(emitter.variable());
    evacuate = evacuate(emitter.variable(), emitter.variable(), emitter.variable());
    awaitContexts = awaitContexts(emitter.variable(), emitter.variable());
  }

  private Routine readMappings(Slot fd, Slot at, Slot last) {
    Slot start = emitter.variable();
    Slot stop = emitter.variable();
    return emitter.routine(
        "readMappings",
        "the readable mappings of the target, in order",
        ImmutableList.of(),
        () -> {
          emitter.set(evacuees.mappingsEnd, new Place(IMAGE));
          emitter.set(evacuees.complete, 0);
          emitter.run(files.path, events.target, ProcFiles.word("/maps"));
          emitter.set(fd, files.open.of(Value.of(Sys.O_CLOEXEC)));
          emitter.when(fd.isLess(0), () -> emitter.give(0));
          emitter.set(evacuees.complete, 1);
          emitter.loop(
              () -> {
                emitter.set(at, new Place(LISTING));
                emitter.set(last, at.plus(Emitter.call(Sys.READ, fd, at, Value.of(LISTING_SIZE))));
                emitter.when(Emitter.either(last.is(at), last.isBelow(at)), emitter::leave);
                emitter.note("the kernel gives whole lines (fs/seq_file.c, seq_read_iter)");
                emitter.when(
                    last.minus(1).byteAt(0).isNot('\n'),
                    () -> {
                      emitter.set(evacuees.complete, 0);
                      emitter.leave();
                    });
                emitter.loopWhile(
                    at.isBelow(last),
                    () -> {
                      emitter.set(start, hex.read.of(at));
                      emitter.set(stop, hex.read.of(hex.end.plus(1)));
                      emitter.set(at, hex.end);
                      emitter.when(
                          at.byteAt(1).is('r'),
                          () ->
                              emitter.when(
                                  evacuees.mappingsEnd.isBelow(
                                      new Place(STACKS - Evacuees.MAPPING_SIZE)),
                                  () -> {
                                    emitter.store(evacuees.mappingsEnd, 0, 8, start);
                                    emitter.store(evacuees.mappingsEnd, 8, 8, stop);
                                    emitter.add(evacuees.mappingsEnd, Evacuees.MAPPING_SIZE);
                                  },
                                  () -> emitter.set(evacuees.complete, 0)));
                      emitter.loopWhile(at.byteAt(0).isNot('\n'), () -> emitter.add(at, 1));
                      emitter.add(at, 1);
                    });
              });
          emitter.system(Sys.CLOSE, fd);
        });
  }

  private Routine ask() {
    return emitter.routine(
        "ask",
        "a thread that runs is to stop for a moment",
        ImmutableList.of(),
        () ->
            emitter.when(
                Threads.flags(entry).hasNo(Threads.ASKED),
                () ->
                    emitter.when(
                        Threads.interrupt(entry).is(0), () -> threads.set(entry, Threads.ASKED))));
  }

  private Routine look(Slot at, Slot stack, Slot instruction) {
    Slot site = emitter.variable();
    return emitter.routine(
        "look",
        "where a thread is, without stopping it if it does not run",
        ImmutableList.of(),
        () -> {
          emitter.when(
              Threads.flags(entry).has(Threads.PARKED | Threads.HELD),
              () -> {
                lookAtStopped();
                emitter.give(0);
              });
          emitter.when(
              threadFiles.read.of(Threads.tid(entry), ProcFiles.word("/syscall")).is(0),
              () -> {
                emitter.when(
                    seizing.isDead.of(Threads.tid(entry)).isNot(0),
                    () -> threads.clear(entry, Threads.EVACUATING | Threads.ASKED),
                    () -> emitter.run(ask));
                emitter.give(0);
              });
          emitter.note("'running', or numbers, of which stack and instruction pointer come last");
          emitter.when(
              threadFiles.text.byteAt(0).is('r'),
              () -> {
                emitter.run(ask);
                emitter.give(0);
              });
          emitter.set(at, hex.last.of(threadFiles.end()));
          emitter.set(instruction, hex.read.of(at));
          emitter.set(at, hex.last.of(at.minus(2)));
          emitter.set(stack, hex.read.of(at));
          emitter.when(
              evacuees.copyInside.of(instruction).isNot(0),
              () -> {
                emitter.run(ask);
                emitter.give(0);
              });
          emitter.note("behind a breakpoint of ours it has run that, and the trap is on its way");
          emitter.set(site, sites.around.of(evacuees.plan, instruction.minus(1)));
          emitter.when(
              site.isNot(0),
              () ->
                  emitter.when(
                      events.breakpoints.standsAt.of(instruction.minus(1)).isNot(0),
                      () -> {
                        emitter.run(ask);
                        emitter.give(0);
                      }));
          emitter.run(evacuees.seeOutside, entry, stack);
        });
  }

  private void lookAtStopped() {
    emitter.when(
        Threads.flags(entry).has(Threads.HELD),
        () ->
            emitter.when(
                Emitter.both(
                    Emitter.call(
                            Sys.PTRACE,
                            Value.of(Sys.PTRACE_GETSIGINFO),
                            Threads.tid(entry),
                            Value.of(0),
                            new Place(SIGINFO))
                        .is(0),
                    new Slot(SIGINFO + Sys.SIGINFO_CODE, 4).is(Sys.SI_KERNEL)),
                () -> {
                  emitter.note("it has run a breakpoint, and stands there, not behind it");
                  emitter.when(
                      Emitter.call(
                              Sys.PTRACE,
                              Value.of(Sys.PTRACE_GETREGS),
                              Threads.tid(entry),
                              Value.of(0),
                              Events.REGISTERS)
                          .is(0),
                      () -> emitter.run(evacuees.seeOutside, entry, Events.RSP));
                  emitter.give(0);
                }));
    emitter.run(evacuees.see, entry);
  }

  private Routine end(Slot result) {
    return emitter.routine(
        "endEvacuation",
        "nobody is looked for any more",
        ImmutableList.of(result),
        () -> {
          emitter.set(evacuees.kind, 0);
          emitter.times(
              index,
              threads.size,
              () -> {
                emitter.set(entry, Threads.at(index));
                threads.clear(entry, Threads.EVACUATING | Threads.ASKED);
              });
          emitter.give(result);
        });
  }

  private Routine evacuate(Slot plan, Slot kind, Slot deadline) {
    Slot pause = emitter.variable();
    Slot asked = emitter.variable();
    Slot rounds = emitter.variable();
    return emitter.routine(
        "evacuate",
        "until no thread is inside of a site; 0, or what went wrong",
        ImmutableList.of(plan, kind),
        () -> {
          emitter.set(deadline, shared.now.of().plus(plan.at(PLAN_PATIENCE)));
          emitter.set(pause, LOOK_AGAIN_NANOS);
          emitter.run(evacuees.begin, plan, kind);
          emitter.times(
              index,
              threads.size,
              () -> {
                emitter.set(entry, Threads.at(index));
                emitter.note("a child that has not reported itself comes from a system call");
                emitter.when(
                    Threads.flags(entry).hasNo(Threads.EXPECTED | Threads.SETTLED),
                    () -> threads.set(entry, Threads.EVACUATING));
              });
          emitter.loop(
              () -> {
                emitter.run(readMappings);
                emitter.note("whom an event moves in the table, and we pass over, comes next time");
                emitter.times(
                    index,
                    threads.size,
                    () -> {
                      emitter.set(entry, Threads.at(index));
                      emitter.when(
                          Threads.flags(entry).has(Threads.EVACUATING), () -> emitter.run(look));
                      emitter.when(
                          index.hasNo(BETWEEN_EVENTS - 1), () -> emitter.run(events.takeAll));
                    });
                emitter.run(events.takeAll);
                emitter.note("until all who were asked to stop have, or may have blocked instead");
                emitter.set(asked, shared.now.of().plus(STOP_NANOS));
                emitter.set(rounds, 0);
                emitter.loopWhile(
                    Emitter.both(
                        threads.count.of(Value.of(Threads.ASKED)).isNot(0),
                        shared.now.of().isLess(asked)),
                    () -> {
                      emitter.add(rounds, 1);
                      emitter.when(
                          rounds.isLess(ROUNDS),
                          () -> emitter.run(events.awaitEvent, Value.of(LOOK_NANOS)),
                          () -> {
                            emitter.note(
                                "threads that trap again and again would keep us awake: who is to"
                                    + " stop may need this processor");
                            emitter.compute(shared.await(Shared.NAMED, Shared.NAMED, LOOK_NANOS));
                          });
                      emitter.run(events.takeAll);
                    });
                emitter.when(
                    events.gone.isNot(0), () -> emitter.give(end.of(Value.of(RESULT_GONE))));
                emitter.when(
                    events.execed.isNot(0), () -> emitter.give(end.of(Value.of(RESULT_EXECED))));
                emitter.when(
                    threads.count.of(Value.of(Threads.EVACUATING)).is(0),
                    () -> emitter.give(end.of(Value.of(0))));
                emitter.when(
                    deadline.isLess(shared.now.of()),
                    () -> {
                      sayWhoStays();
                      emitter.give(end.of(Value.of(RESULT_EVACUATION)));
                    });
                emitter.when(
                    threads.count.of(Value.of(Threads.ASKED)).is(0),
                    () -> {
                      emitter.note(
                          "no event tells that a handler returns, but the trap that may follow");
                      emitter.run(events.awaitEvent, pause);
                      emitter.set(pause, pause.times(2));
                      emitter.when(
                          pause.isGreater(LOOK_AGAIN_MOST_NANOS),
                          () -> emitter.set(pause, LOOK_AGAIN_MOST_NANOS));
                    });
                emitter.run(events.takeAll);
              });
        });
  }

  /**
   * A fiber that a signal handler has interrupted inside, and put aside, is on no thread's stack.
   * To look for it takes all of the memory, which is the JVM's work. Nobody waits for that: who
   * comes to a breakpoint goes on in the copy. Without an answer in time the plan is taken back.
   */
  private Routine awaitContexts(Slot plan, Slot deadline) {
    Slot beat = emitter.variable();
    return emitter.routine(
        "awaitContexts",
        "until the JVM has looked for contexts that lead inside; 0, or there is one",
        ImmutableList.of(plan),
        () -> {
          emitter.set(deadline, shared.now.of().plus(plan.at(PLAN_PATIENCE)));
          emitter.set(beat, 0);
          emitter.set(Shared.CONTEXT_AT, 0);
          emitter.set(Shared.CONTEXT_BOUNDARY, 0);
          emitter.set(Shared.CONTEXTS, LOOK_FOR_CONTEXTS);
          shared.wake(Shared.ANSWERED);
          emitter.loopWhile(
              Emitter.both(Shared.CONTEXTS.is(LOOK_FOR_CONTEXTS), shared.now.of().isLess(deadline)),
              () -> {
                emitter.when(
                    Shared.CONTEXT_AT.isNot(beat),
                    () -> {
                      emitter.note("it is at work: silence counts from here");
                      emitter.set(beat, Shared.CONTEXT_AT);
                      emitter.set(deadline, shared.now.of().plus(plan.at(PLAN_PATIENCE)));
                    });
                emitter.run(events.takeAll);
                emitter.compute(
                    shared.await(Shared.CONTEXTS, Value.of(LOOK_FOR_CONTEXTS), LOOK_NANOS));
              });
          emitter.when(
              events.gone.isNot(0),
              () -> {
                emitter.set(Shared.CONTEXTS, 0);
                emitter.give(RESULT_GONE);
              });
          emitter.when(
              events.execed.isNot(0),
              () -> {
                emitter.set(Shared.CONTEXTS, 0);
                emitter.give(RESULT_EXECED);
              });
          emitter.when(
              Shared.CONTEXTS.is(NO_CONTEXT),
              () -> {
                emitter.set(Shared.CONTEXTS, 0);
                emitter.give(0);
              });
          emitter.when(
              Shared.CONTEXTS.isNot(A_CONTEXT),
              () -> {
                emitter.note("nobody has looked: the JVM is gone, or too slow");
                emitter.set(Shared.CONTEXT_BOUNDARY, 0);
              });
          emitter.set(Shared.CONTEXTS, 0);
          emitter.set(Shared.RESULT, RESULT_EVACUATION);
          emitter.set(Shared.RESULT_STEP, 0);
          emitter.set(Shared.RESULT_ADDRESS, Shared.CONTEXT_BOUNDARY);
          emitter.store(Shared.RESULT_FOUND, 0, 8, Shared.CONTEXT_AT);
          emitter.store(Shared.RESULT_FOUND, 8, 8, Value.of(0));
          emitter.give(RESULT_EVACUATION);
        });
  }

  private void sayWhoStays() {
    emitter.set(Shared.RESULT_ADDRESS, 0);
    emitter.set(entry, threads.find.of(evacuees.holder));
    emitter.when(
        Emitter.both(entry.isNot(0), Threads.flags(entry).has(Threads.EVACUATING)),
        () -> {
          emitter.note("what is on its stack says more than that another does not stop");
          emitter.set(Shared.RESULT_ADDRESS, evacuees.heldBoundary);
        },
        () -> {
          emitter.set(index, 0);
          emitter.loopWhile(
              Threads.flags(Threads.at(index)).hasNo(Threads.EVACUATING),
              () -> emitter.add(index, 1));
          emitter.set(entry, Threads.at(index));
        });
    emitter.set(Shared.RESULT, RESULT_EVACUATION);
    emitter.set(Shared.RESULT_STEP, Threads.tid(entry));
    emitter.store(Shared.RESULT_FOUND, 0, 8, evacuees.holdingWord);
    emitter.store(
        Shared.RESULT_FOUND, 8, 8, threads.count.of(Value.of(Threads.EVACUATING)).minus(1));
  }
}
