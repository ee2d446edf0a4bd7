package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Sees each running thread in a stop, once, before the poker leaves: none may have a trap of ours
 * still to report. A thread blocked in a system call can't be between a breakpoint and its signal:
 * it is left alone, unless it wakes meanwhile.
 */
final class Draining {
  private static final int LOOK_NANOS = 2_000_000;

  /** In a busy program somebody wakes all the time. */
  private static final int ROUNDS = 4;

  /** {@code drain()}. */
  final Routine drain;

  private final Emitter emitter;
  private final ThreadFiles files;
  private final Threads threads;
  private final Events events;
  private final Seizing seizing;
  private final Slot entry;
  private final Routine makesChild;

  Draining(
      Emitter emitter,
      ThreadFiles files,
      Threads threads,
      Events events,
      Seizing seizing,
      Plans plans) {
    this.emitter = emitter;
    this.files = files;
    this.threads = threads;
    this.events = events;
    this.seizing = seizing;
    entry = emitter.variable();
    makesChild = makesChild(emitter.variable());
    Routine mayRunCode = mayRunCode(emitter.variable());
    Routine forgetUnstoppable =
        forgetUnstoppable(isBlocked(emitter.variable()), emitter.variable());
    Routine stopRunning =
        stopRunning(mayRunCode, emitter.variable(), emitter.variable(), emitter.variable());
    drain =
        drain(
            stopRunning,
            awaitStops(forgetUnstoppable),
            plans,
            emitter.variable(),
            emitter.variable(),
            emitter.variable());
  }

  private Routine makesChild(Slot number) {
    return emitter.routine(
        "makesChild",
        "whether the call that was read is one that makes a child",
        ImmutableList.of(),
        () -> {
          emitter.set(number, files.number.of(files.text));
          emitter.when(
              Emitter.both(number.isGreater(Sys.CLONE - 1), number.isLess(Sys.VFORK + 1)),
              () -> emitter.give(1));
          emitter.when(number.is(Sys.CLONE3), () -> emitter.give(1));
        });
  }

  private Routine mayRunCode(Slot tid) {
    return emitter.routine(
        "mayRunCode",
        "whether a thread is in no system call, or in one that makes a child",
        ImmutableList.of(tid),
        () -> {
          emitter.note("gone, which the kernel says when we stop it; or we may not look");
          emitter.when(files.read.of(tid, ProcFiles.word("/syscall")).is(0), () -> emitter.give(1));
          emitter.note("'running', or a number, -1 outside of any call");
          emitter.when(
              Emitter.either(files.text.byteAt(0).is('r'), files.text.byteAt(0).is('-')),
              () -> emitter.give(1));
          emitter.give(makesChild.of());
        });
  }

  /**
   * A parent that waits for its vfork child does not stop before that ends: it is clean. One that
   * is blocked on its way to a child is not: the child has not been reported, and may hold
   * breakpoints.
   */
  private Routine isBlocked(Slot blocked) {
    return emitter.routine(
        "isBlocked",
        "whether a thread is blocked in a system call that makes no child any more",
        ImmutableList.of(blocked),
        () -> {
          emitter.when(
              files.read.of(Threads.tid(blocked), ProcFiles.word("/syscall")).is(0),
              () -> emitter.give(0));
          emitter.when(
              Emitter.either(files.text.byteAt(0).isLess('0'), files.text.byteAt(0).isGreater('9')),
              () -> emitter.give(0));
          emitter.when(
              makesChild.of().isNot(0),
              () -> emitter.give(Threads.flags(blocked).and(Threads.VFORKS)));
          emitter.give(1);
        });
  }

  private Routine forgetUnstoppable(Routine isBlocked, Slot index) {
    return emitter.routine(
        "forgetUnstoppable",
        "one that has blocked meanwhile is clean; one that is dead never stops",
        ImmutableList.of(),
        () -> {
          emitter.set(index, threads.size);
          emitter.loopWhile(
              index.isGreater(0),
              () -> {
                emitter.set(index, index.minus(1));
                emitter.set(entry, Threads.at(index));
                emitter.when(
                    Threads.flags(entry).has(Threads.EXPECTED),
                    () ->
                        emitter.when(
                            seizing.isDead.of(Threads.tid(entry)).isNot(0),
                            () -> emitter.run(threads.remove, Threads.tid(entry))),
                    () ->
                        emitter.when(
                            Threads.flags(entry).has(Threads.DRAINING),
                            () ->
                                emitter.when(
                                    seizing.isDead.of(Threads.tid(entry)).isNot(0),
                                    () -> emitter.run(threads.remove, Threads.tid(entry)),
                                    () ->
                                        emitter.when(
                                            isBlocked.of(entry).isNot(0),
                                            () -> threads.clear(entry, Threads.DRAINING)))));
              });
        });
  }

  private Routine stopRunning(Routine mayRunCode, Slot all, Slot index, Slot count) {
    return emitter.routine(
        "stopRunning",
        "interrupt who runs: of all, or of those that were blocked; how many",
        ImmutableList.of(all),
        () -> {
          emitter.set(count, 0);
          emitter.times(
              index,
              threads.size,
              () -> {
                emitter.set(entry, Threads.at(index));
                emitter.when(
                    Emitter.both(
                        Threads.flags(entry)
                            .hasNo(Threads.GROUP_STOPPED | Threads.EXPECTED | Threads.SETTLED),
                        Emitter.either(all.isNot(0), Threads.flags(entry).has(Threads.BLOCKED))),
                    () -> {
                      threads.set(entry, Threads.BLOCKED);
                      emitter.when(
                          mayRunCode.of(Threads.tid(entry)).isNot(0),
                          () -> {
                            threads.clear(entry, Threads.BLOCKED);
                            emitter.when(
                                Threads.interrupt(entry).is(0),
                                () -> {
                                  threads.set(entry, Threads.DRAINING);
                                  emitter.add(count, 1);
                                });
                          });
                    });
              });
          emitter.give(count);
        });
  }

  private Routine awaitStops(Routine forgetUnstoppable) {
    return emitter.routine(
        "awaitStops",
        "until all that were interrupted have stopped, or will not",
        ImmutableList.of(),
        () ->
            emitter.loop(
                () -> {
                  emitter.run(events.takeAll);
                  emitter.run(events.settle);
                  emitter.when(
                      Emitter.either(
                          events.gone.or(events.execed).isNot(0),
                          threads.count.of(Value.of(Threads.DRAINING | Threads.EXPECTED)).is(0)),
                      emitter::leave);
                  emitter.run(events.awaitEvent, Value.of(LOOK_NANOS));
                  emitter.run(events.takeAll);
                  emitter.run(forgetUnstoppable);
                }));
  }

  /**
   * SIGCONT wakes the blocked threads of who is traced (kernel/signal.c, ptrace_trap_notify). While
   * we trace them, their calls are issued again; those that wake as we leave would see an EINTR
   * that they never had without us. So whoever was blocked is looked at again, until none of them
   * runs.
   */
  private Routine drain(
      Routine stopRunning, Routine awaitStops, Plans plans, Slot rounds, Slot all, Slot stopped) {
    return emitter.routine(
        "drain",
        "see who runs in a stop, once; and again who has run since",
        ImmutableList.of(),
        () -> {
          emitter.run(events.takeAll);
          emitter.set(rounds, ROUNDS);
          emitter.set(all, 1);
          emitter.loop(
              () -> {
                emitter.set(events.repaired, 0);
                emitter.set(stopped, stopRunning.of(all));
                emitter.run(awaitStops);
                emitter.note("after SIGCONT, who runs may be about to block");
                emitter.when(
                    Emitter.either(
                        events.gone.or(events.execed).isNot(0),
                        all.or(stopped).or(events.repaired).is(0)),
                    emitter::leave);
                emitter.set(rounds, rounds.minus(1));
                emitter.when(rounds.is(0), emitter::leave);
                emitter.set(all, events.repaired);
              });
          emitter.run(plans.forget);
        });
  }
}
