package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Sees each running thread in a stop, once, before the poker leaves: none may have a trap of ours
 * still to report. A thread blocked in a system call can't be between a breakpoint and its signal:
 * it is left alone.
 */
final class Draining {
  private static final int LOOK_NANOS = 2_000_000;

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
    drain = drain(mayRunCode, forgetUnstoppable, plans, emitter.variable());
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

  private Routine drain(Routine mayRunCode, Routine forgetUnstoppable, Plans plans, Slot index) {
    return emitter.routine(
        "drain",
        "see who runs in a stop, once",
        ImmutableList.of(),
        () -> {
          emitter.when(events.breakpoints.retired.is(0), () -> emitter.give(0));
          emitter.run(events.takeAll);
          emitter.times(
              index,
              threads.size,
              () -> {
                emitter.set(entry, Threads.at(index));
                emitter.when(
                    Threads.flags(entry)
                        .hasNo(Threads.GROUP_STOPPED | Threads.EXPECTED | Threads.SETTLED),
                    () ->
                        emitter.when(
                            mayRunCode.of(Threads.tid(entry)).isNot(0),
                            () ->
                                emitter.when(
                                    Emitter.call(
                                            Sys.PTRACE,
                                            Value.of(Sys.PTRACE_INTERRUPT),
                                            Threads.tid(entry),
                                            Value.of(0),
                                            Value.of(0))
                                        .is(0),
                                    () -> threads.set(entry, Threads.DRAINING))));
              });
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
              });
          emitter.run(plans.forget);
        });
  }
}
