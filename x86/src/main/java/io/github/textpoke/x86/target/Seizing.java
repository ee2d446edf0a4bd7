package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.LISTING;
import static io.github.textpoke.apply.internal.SessionLayout.LISTING_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_TOO_MANY;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_TRACED;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_CAPACITY;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/** Seizes all threads that may run the target's code, without stopping one. */
final class Seizing {
  private static final int OPTIONS =
      1 << Sys.PTRACE_EVENT_FORK
          | 1 << Sys.PTRACE_EVENT_VFORK
          | 1 << Sys.PTRACE_EVENT_CLONE
          | 1 << Sys.PTRACE_EVENT_EXEC;

  private static final int SIGTRAP_BIT = 1 << Sys.SIGTRAP - 1;
  private static final int STAT_STATE = 3;
  private static final int STAT_THREADS = 20;
  private static final int STAT_PENDING = 31;
  private static final int STAT_BLOCKED = 32;

  /** A thread that was cloning when it was seized has made one that no list has shown yet. */
  private static final int YOUNG_NANOS = 20_000_000;

  private static final int STRAGGLER_ATTEMPTS = 10;

  /** So many threads are seized between two looks at what has happened; a power of two. */
  private static final int BETWEEN_EVENTS = 16;

  /** After so long, seizing one thread may be stuck. */
  private static final int STUCK_MICROS = 20_000;

  private static final int TIMER = SCRATCH + 0x1900;
  private static final int TIMER_SIZE = 32;
  private static final int REAPED = SCRATCH + 0x1940;
  private static final int SI_PID = 12;

  /** {@code seizeAll()}: what went wrong, 0 if nothing did. */
  final Routine seizeAll;

  /** {@code seizeThreadsOf(process, flags)}: as often as new ones are found. */
  final Routine seizeProcess;

  /** {@code seizeStragglers()}: in a young session, counts the threads before each plan. */
  final Routine seizeStragglers;

  /**
   * {@code readMasks(flags)}: looks at what the threads with one of these flags block; 0, or the id
   * of one that must not meet a breakpoint now.
   */
  final Routine readMasks;

  /** {@code isDead(tid)}: whether it has ended, though nobody may have reaped it. */
  final Routine isDead;

  /** Handler of SIGALRM. */
  final Routine reaper;

  /** What went wrong: a negated errno or a RESULT, 0 if nothing did. */
  final Slot problem;

  private final Emitter emitter;
  private final Shared shared;
  private final ProcFiles files;
  private final ThreadFiles threadFiles;
  private final Threads threads;
  private final Events events;

  /** Threads of the kernel's that run in the process's name, and never its code. */
  private final Slot untraceable;

  /** Whether the handler has reaped threads, which the table still holds. */
  private final Slot reaped;

  private final Slot seizedAt;
  private final Slot thread;
  private final Slot flags;
  private final Slot found;
  private final Routine noteSignals;
  private final Routine seizeOne;
  private final Routine pass;

  Seizing(
      Emitter emitter,
      Shared shared,
      ProcFiles files,
      ThreadFiles threadFiles,
      Threads threads,
      Events events) {
    this.emitter = emitter;
    this.shared = shared;
    this.files = files;
    this.threadFiles = threadFiles;
    this.threads = threads;
    this.events = events;
    problem = emitter.variable();
    untraceable = emitter.variable();
    reaped = emitter.variable();
    seizedAt = emitter.variable();
    thread = emitter.variable();
    flags = emitter.variable();
    found = emitter.variable();
    reaper = reaper();
    isDead = isDead(emitter.variable(), emitter.variable());
    noteSignals = noteSignals(emitter.variable());
    seizeOne = seizeOne(emitter.variable());
    pass = pass(emitter.variable());
    seizeProcess = seizeProcess(emitter.variable(), emitter.variable());
    seizeAll = seizeAll();
    seizeStragglers = seizeStragglers(emitter.variable());
    readMasks = readMasks(emitter.variable(), emitter.variable());
  }

  private Value readStat(Value tid) {
    return threadFiles.read.of(tid, ProcFiles.word("/stat"));
  }

  private Value stat(int field) {
    return threadFiles.number.of(threadFiles.field.of(Value.of(field)));
  }

  private Routine isDead(Slot tid, Slot state) {
    return emitter.routine(
        "isDead",
        "whether a thread has ended; reads its stat file",
        ImmutableList.of(tid),
        () -> {
          emitter.when(readStat(tid).is(0), () -> emitter.give(1));
          emitter.set(state, threadFiles.field.of(Value.of(STAT_STATE)).byteAt(0));
          emitter.when(Emitter.either(state.is('Z'), state.is('X')), () -> emitter.give(1));
        });
  }

  private void fail(Value what) {
    emitter.when(
        problem.is(0),
        () -> {
          emitter.set(problem, what);
          emitter.set(Shared.RESULT_STEP, thread);
        });
  }

  private Routine noteSignals(Slot entry) {
    Slot blocked = emitter.variable();
    return emitter.routine(
        "noteSignals",
        "what a thread blocks: an int3 takes it away; whether it has a SIGTRAP pending",
        ImmutableList.of(entry),
        () -> {
          emitter.when(readStat(Threads.tid(entry)).is(0), () -> emitter.give(0));
          emitter.set(blocked, stat(STAT_BLOCKED));
          emitter.run(threads.setMask, entry, blocked);
          emitter.when(
              Emitter.both(
                  Emitter.both(blocked.has(SIGTRAP_BIT), stat(STAT_PENDING).has(SIGTRAP_BIT)),
                  isDead.of(Threads.tid(entry)).is(0)),
              () -> emitter.give(1));
        });
  }

  private Routine seizeOne(Slot error) {
    Slot tracer = emitter.variable();
    return emitter.routine(
        "seizeOne",
        "seize a thread that is not traced by us",
        ImmutableList.of(),
        () -> {
          emitter.when(thread.is(Shared.HELPER), () -> emitter.give(0));
          emitter.when(
              threads.size.isGreater(TRACEE_CAPACITY / 2),
              () -> {
                fail(Value.of(RESULT_TOO_MANY));
                emitter.give(0);
              });
          emitter.set(
              error,
              Emitter.call(
                  Sys.PTRACE, Value.of(Sys.PTRACE_SEIZE), thread, Value.of(0), Value.of(OPTIONS)));
          emitter.when(
              error.is(0),
              () -> {
                emitter.run(threads.add, thread, flags.or(Threads.UNREAD));
                emitter.set(found, 1);
                emitter.give(0);
              });
          emitter.when(error.is(-Sys.ESRCH), () -> emitter.give(0));
          emitter.note("born of a seized thread, it is traced already, and reports itself");
          emitter.run(events.takeAll);
          emitter.when(
              Emitter.either(threads.find.of(thread).isNot(0), isDead.of(thread).isNot(0)),
              () -> emitter.give(0));
          emitter.when(
              error.isNot(-Sys.EPERM),
              () -> {
                fail(error);
                emitter.give(0);
              });
          emitter.note("threads of io_uring and vhost refuse ptrace, and run none of the code");
          emitter.when(
              Emitter.either(
                  threadFiles.find.of(ProcFiles.word(" (iou-wr")).isNot(0),
                  Emitter.either(
                      threadFiles.find.of(ProcFiles.word(" (iou-sq")).isNot(0),
                      threadFiles.find.of(ProcFiles.word(" (vhost-")).isNot(0))),
              () -> {
                emitter.add(untraceable, 1);
                emitter.give(0);
              });
          emitter.when(
              threadFiles.read.of(thread, ProcFiles.word("/status")).is(0), () -> emitter.give(0));
          emitter.set(tracer, threadFiles.find.of(ProcFiles.word("cerPid:\t")));
          emitter.when(tracer.isNot(0), () -> emitter.set(tracer, threadFiles.number.of(tracer)));
          emitter.when(tracer.is(events.self), () -> emitter.give(0));
          emitter.when(
              tracer.is(0),
              () -> fail(error),
              () -> {
                emitter.set(Shared.RESULT_ADDRESS, tracer);
                fail(Value.of(RESULT_TRACED));
              });
        });
  }

  /**
   * An execve waits until we have reaped the threads that it ends, and holds the lock that seizing
   * its caller waits for (kernel/ptrace.c, ptrace_attach: cred_guard_mutex). A timer's signal
   * interrupts that wait, and its handler reaps the dead; stops are left for later.
   */
  private Routine reaper() {
    Slot found = new Slot(REAPED + SI_PID, 4);
    return emitter.routine(
        "reaper",
        "handler of SIGALRM: reap who has ended",
        ImmutableList.of(),
        () ->
            emitter.loop(
                () -> {
                  emitter.set(found, 0);
                  emitter.system(
                      Sys.WAITID,
                      Value.of(Sys.P_ALL),
                      Value.of(0),
                      new Place(REAPED),
                      Value.of(Sys.WEXITED | Sys.WNOHANG | Sys.WALL),
                      Value.of(0));
                  emitter.when(found.is(0), () -> emitter.give(0));
                  emitter.set(reaped, 1);
                }));
  }

  /** Sets the timer, or stops it. */
  private void setTimer(int micros) {
    for (int offset = 0; offset < TIMER_SIZE; offset += 16) {
      emitter.set(new Slot(TIMER + offset, 8), 0);
      emitter.set(new Slot(TIMER + offset + 8, 8), micros);
    }
    emitter.system(Sys.SETITIMER, Value.of(Sys.ITIMER_REAL), new Place(TIMER), Value.of(0));
  }

  /** Opens the list of a process's threads. */
  private Value listOf(Value process) {
    emitter.run(files.path, process, ProcFiles.word("/task"));
    return files.open.of(Value.of(Sys.O_RDONLY | Sys.O_DIRECTORY | Sys.O_CLOEXEC));
  }

  private Routine pass(Slot process) {
    Slot fd = emitter.variable();
    Slot at = emitter.variable();
    Slot end = emitter.variable();
    return emitter.routine(
        "pass",
        "seize the threads that a process's list shows; whether one was new",
        ImmutableList.of(process, flags),
        () -> {
          emitter.set(found, 0);
          emitter.set(untraceable, 0);
          emitter.set(fd, listOf(process));
          emitter.when(
              fd.isLess(0),
              () -> {
                emitter.when(
                    process.is(events.target),
                    () -> {
                      emitter.set(thread, process);
                      fail(fd);
                    });
                emitter.give(0);
              });
          setTimer(STUCK_MICROS);
          emitter.loop(
              () -> {
                emitter.set(at, new Place(LISTING));
                emitter.set(
                    end, at.plus(Emitter.call(Sys.GETDENTS64, fd, at, Value.of(LISTING_SIZE))));
                emitter.when(Emitter.either(end.is(at), end.isBelow(at)), emitter::leave);
                emitter.loopWhile(
                    at.isBelow(end),
                    () -> {
                      emitter.when(
                          at.byteAt(Sys.ENTRY_NAME).isGreater('/'),
                          () -> {
                            emitter.set(thread, threadFiles.number.of(at.plus(Sys.ENTRY_NAME)));
                            emitter.when(
                                threads.find.of(thread).is(0),
                                () -> {
                                  emitter.note(
                                      "an exec waits until we have reaped those that it ends;"
                                          + " but to take events is a look at every thread");
                                  emitter.when(
                                      threads.size.hasNo(BETWEEN_EVENTS - 1),
                                      () -> emitter.run(events.takeAll));
                                  emitter.run(seizeOne);
                                });
                          });
                      emitter.set(at, at.plus(at.shortAt(Sys.ENTRY_LENGTH)));
                    });
              });
          setTimer(0);
          emitter.system(Sys.CLOSE, fd);
          emitter.give(found);
        });
  }

  private Routine seizeProcess(Slot process, Slot flag) {
    Slot again = emitter.variable();
    return emitter.routine(
        "seizeProcess",
        "until a pass finds none that is new",
        ImmutableList.of(process, flag),
        () ->
            emitter.loop(
                () -> {
                  emitter.set(again, pass.of(process, flag));
                  emitter.when(
                      Emitter.either(again.isLess(1), problem.isNot(0)), () -> emitter.give(again));
                }));
  }

  private Routine seizeAll() {
    return emitter.routine(
        "seizeAll",
        "seize the target's threads; what went wrong",
        ImmutableList.of(),
        () -> {
          emitter.set(problem, 0);
          emitter.set(reaped, 0);
          emitter.set(files.directory, listOf(events.target));
          emitter.run(seizeProcess, events.target, Value.of(0));
          emitter.set(seizedAt, shared.now.of());
          emitter.give(problem);
        });
  }

  private Routine seizeStragglers(Slot attempt) {
    return emitter.routine(
        "seizeStragglers",
        "in a young session, until all threads are ours",
        ImmutableList.of(),
        () -> {
          emitter.when(
              shared.now.of().minus(seizedAt).isGreater(YOUNG_NANOS), () -> emitter.give(0));
          emitter.note("the list need not be read anew where the count is right");
          emitter.set(found, untraceable.or(reaped));
          emitter.set(attempt, STRAGGLER_ATTEMPTS);
          emitter.loopWhile(
              attempt.isGreater(0),
              () -> {
                emitter.set(attempt, attempt.minus(1));
                emitter.run(events.takeAll);
                emitter.when(isDead.of(events.target).isNot(0), () -> emitter.give(0));
                emitter.when(
                    Emitter.both(
                        found.is(0),
                        stat(STAT_THREADS)
                            .minus(threads.size)
                            .plus(
                                threads.count.of(
                                    Value.of(Threads.SHARER | Threads.EXPECTED | Threads.SETTLED)))
                            .minus(untraceable)
                            .isLess(2)),
                    () -> emitter.give(0));
                emitter.run(pass, events.target, Value.of(0));
              });
        });
  }

  /**
   * Reading costs more than seizing, so it is done while nobody waits for us: before the first
   * plan, not before the threads are held. New threads are looked at again before each plan: while
   * they are made they block all signals.
   */
  private Routine readMasks(Slot which, Slot index) {
    Slot entry = emitter.variable();
    return emitter.routine(
        "readMasks",
        "look at the threads that have one of these flags; 0, or who has a SIGTRAP pending",
        ImmutableList.of(which),
        () -> {
          emitter.when(threads.count.of(which).is(0), () -> emitter.give(0));
          emitter.times(
              index,
              threads.size,
              () -> {
                emitter.set(entry, Threads.at(index));
                emitter.when(
                    new Value.Binary(Assembler.Operation.AND, Threads.flags(entry), which).isNot(0),
                    () -> {
                      emitter.when(
                          noteSignals.of(entry).isNot(0), () -> emitter.give(Threads.tid(entry)));
                      threads.clear(entry, Threads.NEWBORN | Threads.UNREAD);
                    });
              });
        });
  }
}
