package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.FLAG_HANDLER;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_HOLDS_TRAPS;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_IGNORED;
import static io.github.textpoke.apply.internal.SessionLayout.NO_CALL;
import static io.github.textpoke.apply.internal.SessionLayout.REPEATABLE;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_MASK;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Load;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Signed;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * What the threads report, and what becomes of them. Where each instruction is replaced by one,
 * events are taken between two plans, never within: a thread that has trapped waits by itself,
 * stopped, until the first byte is written. So whenever a trap is looked at, its breakpoint is
 * gone, and the thread runs the site again.
 *
 * <p>While instructions are displaced, events are taken at every step. Whoever has trapped at one
 * of them goes on in the out-of-line copy, at once; who has to wait is parked until the plan is
 * over.
 */
final class Events {
  static final Place REGISTERS = new Place(SCRATCH);
  static final Slot RAX = new Slot(SCRATCH + Sys.REGISTERS_RAX, 8);
  static final Slot ORIG_RAX = new Slot(SCRATCH + Sys.REGISTERS_ORIG_RAX, 8);
  static final Slot RIP = new Slot(SCRATCH + Sys.REGISTERS_RIP, 8);
  static final Slot RSP = new Slot(SCRATCH + Sys.REGISTERS_RSP, 8);

  /** Events that are taken at once, besides two of each thread. */
  private static final int EVENTS_MORE = 16;

  private static final int SIGINFO = SCRATCH + 0x100;
  private static final int PEEK = SCRATCH + 0x180;
  private static final int PEEKED = SCRATCH + 0x200;
  private static final int PEEK_COUNT = 8;
  private static final Slot STATUS = new Slot(SCRATCH + 0x640, 4);
  private static final Slot WORD = new Slot(SCRATCH + 0x648, 8);
  private static final Slot SET = new Slot(SCRATCH + 0x620, 8);
  private static final int STOPPED = 0x7f;
  private static final int SIGTRAP_BIT = 1 << Sys.SIGTRAP - 1;

  /** The signals that a stat file shows. */
  private static final int SHOWN = 0x7fffffff;

  /** {@code takeAll()}: handles what has happened, without waiting. */
  final Routine takeAll;

  /** {@code awaitEvent(nanos)}: until something happens, or the JVM calls, or the time is over. */
  final Routine awaitEvent;

  /** {@code releaseParked()}: the plan is over, and its breakpoints are gone. */
  final Routine releaseParked;

  /** {@code settle()}: puts right what traps have changed. */
  final Routine settle;

  /** {@code isTrapQueued(tid)}: whether the SIGTRAP of a breakpoint is queued for it. */
  final Routine isTrapQueued;

  /** The last thread has ended, or its memory was replaced. */
  final Slot gone;

  final Slot execed;

  /** The process ids of the target and of the poker. */
  final Slot target;

  final Slot self;

  /** Whether a trap of the program's has to wait until the handler was looked at. */
  final Slot holding;

  /** Grows when a child was made: its pages are shared with it again. */
  final Slot forks;

  /** Whether a system call was found that our tracing has interrupted. */
  final Slot repaired;

  private final Emitter emitter;
  private final Shared shared;
  private final Threads threads;
  private final SigtrapHandler handler;
  private final Evacuees evacuees;

  /** Whose breakpoint stood where a thread has trapped. */
  final Breakpoints breakpoints;

  private final Children children;
  private final Slot tid;
  private final Slot status;
  private final Slot entry;
  private final Slot signal;
  private final Routine resume;
  private final Routine repair;
  private final Routine restoreMask;
  private final Routine seeStopped;
  private final Routine goOn;
  private final Routine run;
  private final Routine passOn;
  private final Routine firstStop;
  private final Routine stop;
  private final Routine trap;
  private final Routine release;

  Events(
      Emitter emitter,
      Shared shared,
      Leaves leaves,
      Threads threads,
      SigtrapHandler handler,
      ProcFiles files,
      Sites sites,
      Evacuees evacuees) {
    this.emitter = emitter;
    this.evacuees = evacuees;
    this.shared = shared;
    this.threads = threads;
    this.handler = handler;
    gone = emitter.variable();
    execed = emitter.variable();
    target = emitter.variable();
    self = emitter.variable();
    holding = emitter.variable();
    forks = emitter.variable();
    repaired = emitter.variable();
    tid = emitter.variable();
    status = emitter.variable();
    entry = emitter.variable();
    signal = emitter.variable();
    Slot resumed = emitter.variable();
    Slot delivered = emitter.variable();
    breakpoints = new Breakpoints(emitter, leaves, sites);
    children = new Children(emitter, leaves, files, sites, breakpoints);
    awaitEvent = awaitEvent(emitter.variable());
    resume =
        emitter.routine(
            "resume",
            "let a stopped thread run, with a signal or 0",
            ImmutableList.of(resumed, delivered),
            () -> ptrace(Sys.PTRACE_CONT, resumed, Value.of(0), delivered));
    isTrapQueued = isTrapQueued(emitter.variable(), emitter.variable(), emitter.variable());
    repair = repair(emitter.variable(), emitter.variable());
    restoreMask = restoreMask();
    seeStopped = seeStopped();
    goOn = goOn(emitter.variable());
    run = run();
    passOn = passOn();
    trap = trap();
    firstStop = firstStop(emitter.variable(), emitter.variable());
    stop = stop(emitter.variable());
    takeAll = takeAll();
    release = release();
    releaseParked = releaseParked(emitter.variable());
    settle = settle(emitter.variable());
  }

  private void ptrace(int request, Value thread, Value address, Value data) {
    emitter.compute(answer(request, thread, address, data));
  }

  private static Value answer(int request, Value thread, Value address, Value data) {
    return Emitter.call(Sys.PTRACE, Value.of(request), thread, address, data);
  }

  private Routine awaitEvent(Slot nanos) {
    return emitter.routine(
        "awaitEvent",
        "a traced thread's stop sends SIGCHLD, and so does the JVM; it is blocked, so kept",
        ImmutableList.of(nanos),
        () -> {
          emitter.set(SET, 1L << Sys.SIGCHLD - 1);
          emitter.system(
              Sys.RT_SIGTIMEDWAIT,
              SET.address(),
              Value.of(0),
              shared.timespec.of(nanos),
              Value.of(Sys.SIGSET_SIZE));
        });
  }

  private Routine isTrapQueued(Slot thread, Slot count, Slot index) {
    Slot from = new Slot(PEEK, 8);
    return emitter.routine(
        "isTrapQueued",
        "whether the SIGTRAP of a breakpoint is queued; one that was sent is another",
        ImmutableList.of(thread),
        () -> {
          emitter.set(from, 0);
          emitter.set(new Slot(PEEK + Long.BYTES, 8), 0);
          emitter.set(new Slot(PEEK + Sys.PEEK_COUNT, 4), PEEK_COUNT);
          emitter.loop(
              () -> {
                emitter.set(
                    count,
                    answer(Sys.PTRACE_PEEKSIGINFO, thread, new Place(PEEK), new Place(PEEKED)));
                emitter.when(count.isLess(1), () -> emitter.give(0));
                emitter.times(
                    index,
                    count,
                    () -> {
                      Value info = new Place(PEEKED).plus(index.times(Sys.SIGINFO_SIZE));
                      emitter.when(
                          Emitter.both(
                              info.intAt(Sys.SIGINFO_NUMBER).is(Sys.SIGTRAP),
                              info.intAt(Sys.SIGINFO_CODE).is(Sys.SI_KERNEL)),
                          () -> emitter.give(1));
                    });
                emitter.set(from, from.plus(count));
              });
        });
  }

  private Routine repair(Slot call, Slot index) {
    return emitter.routine(
        "repair",
        "a call that would return EINTR because of us is issued again"
            + " (arch/x86/kernel/signal.c, arch_do_signal_or_restart)",
        ImmutableList.of(),
        () -> {
          emitter.when(
              answer(Sys.PTRACE_GETREGS, tid, Value.of(0), REGISTERS).isLess(0),
              () -> emitter.give(0));
          emitter.when(RAX.isNot(-Sys.EINTR), () -> emitter.give(0));
          emitter.set(index, new Place(REPEATABLE));
          emitter.loop(
              () -> {
                emitter.set(call, index.shortAt(0));
                emitter.when(call.is(NO_CALL), () -> emitter.give(0));
                emitter.when(call.is(ORIG_RAX), emitter::leave);
                emitter.add(index, 2);
              });
          emitter.set(RAX, -Sys.ERESTARTNOHAND);
          emitter.set(repaired, 1);
          ptrace(Sys.PTRACE_SETREGS, tid, Value.of(0), REGISTERS);
        });
  }

  /**
   * force_sig has unblocked SIGTRAP though we keep the signal. It is blocked again only where the
   * thread must have blocked it: where that explains its whole mask, and where the handler, if
   * there was one, was reset.
   */
  private Routine restoreMask() {
    return emitter.routine(
        "restoreMask",
        "block SIGTRAP again in a thread that had",
        ImmutableList.of(),
        () -> {
          emitter.when(Threads.flags(entry).hasNo(Threads.BLOCKS_SIGTRAP), () -> emitter.give(0));
          emitter.when(
              Emitter.both(Shared.FLAGS.has(FLAG_HANDLER), handler.wasReset.of().is(0)),
              () -> {
                threads.clear(entry, Threads.BLOCKS_SIGTRAP);
                emitter.give(0);
              });
          emitter.when(
              answer(Sys.PTRACE_GETSIGMASK, tid, Value.of(Sys.SIGSET_SIZE), WORD.address())
                  .isLess(0),
              () -> emitter.give(0));
          emitter.when(
              WORD.and(SHOWN).is(new Load(entry, TRACEE_MASK, 4).and(~SIGTRAP_BIT)),
              () -> {
                emitter.set(WORD, WORD.or(SIGTRAP_BIT));
                ptrace(Sys.PTRACE_SETSIGMASK, tid, Value.of(Sys.SIGSET_SIZE), WORD.address());
              });
        });
  }

  private Routine seeStopped() {
    return emitter.routine(
        "seeStopped",
        "where a stopped thread stands, if that is asked; at the breakpoint whose trap is queued",
        ImmutableList.of(),
        () -> {
          emitter.when(Emitter.either(entry.is(0), evacuees.kind.is(0)), () -> emitter.give(0));
          emitter.when(
              Threads.flags(entry).has(Threads.EVACUATING),
              () ->
                  emitter.when(isTrapQueued.of(tid).is(0), () -> emitter.run(evacuees.see, entry)));
        });
  }

  private Routine goOn(Slot address) {
    return emitter.routine(
        "goOn",
        "the thread is to run its site again, or the copy",
        ImmutableList.of(address),
        () -> {
          emitter.add(Shared.TRAPS, 1);
          emitter.when(address.is(breakpoints.site), () -> emitter.add(Shared.PARKED, 1));
          emitter.set(RIP, address);
          ptrace(Sys.PTRACE_SETREGS, tid, Value.of(0), REGISTERS);
          threads.clear(entry, Threads.DRAINING);
          emitter.when(handler.ofInterest(), () -> emitter.set(handler.inDoubt, 1));
          emitter.run(restoreMask);
          emitter.run(seeStopped);
        });
  }

  private Routine run() {
    return emitter.routine(
        "run",
        "a thread that has trapped runs; one that was in a group stop goes back to it",
        ImmutableList.of(),
        () -> {
          emitter.when(
              Threads.flags(entry).has(Threads.REJOINS_GROUP_STOP),
              () -> {
                threads.clear(entry, Threads.REJOINS_GROUP_STOP);
                ptrace(Sys.PTRACE_INTERRUPT, tid, Value.of(0), Value.of(0));
              });
          emitter.run(resume, tid, Value.of(0));
        });
  }

  private Routine passOn() {
    return emitter.routine(
        "passOn",
        "a SIGTRAP of the program's own: it waits while the handler may be lost",
        ImmutableList.of(),
        () ->
            emitter.when(
                Emitter.both(Shared.FLAGS.has(FLAG_HANDLER), handler.inDoubt.or(holding).isNot(0)),
                () -> threads.set(entry, Threads.HELD),
                () -> emitter.run(resume, tid, Value.of(Sys.SIGTRAP))));
  }

  private Routine trap() {
    return emitter.routine(
        "trap",
        "a thread is about to get SIGTRAP",
        ImmutableList.of(),
        () -> {
          emitter.when(
              Emitter.either(
                  answer(Sys.PTRACE_GETREGS, tid, Value.of(0), REGISTERS).isLess(0),
                  answer(Sys.PTRACE_GETSIGINFO, tid, Value.of(0), new Place(SIGINFO)).isLess(0)),
              () -> {
                emitter.note("it was killed: its end comes next");
                emitter.give(0);
              });
          emitter.run(breakpoints.meet, RIP.minus(1));
          emitter.when(
              new Slot(SIGINFO + Sys.SIGINFO_CODE, 4).isNot(Sys.SI_KERNEL),
              () -> {
                emitter.note("sent by somebody; the kernel merges it with that of a breakpoint");
                emitter.when(
                    breakpoints.met.isNot(0),
                    () -> emitter.when(breakpoints.isOneByte.of().is(0), this::goOnFromBreakpoint));
                emitter.run(seeStopped);
                emitter.when(
                    Shared.FLAGS.has(FLAG_IGNORED),
                    () -> emitter.run(resume, tid, Value.of(0)),
                    () -> emitter.run(passOn));
                emitter.give(0);
              });
          emitter.when(
              Emitter.both(breakpoints.metNow.isNot(0), breakpoints.copy.is(0)),
              () -> {
                emitter.note("until the first byte is written");
                emitter.run(goOn, breakpoints.site);
                threads.set(entry, Threads.PARKED);
                emitter.give(0);
              });
          emitter.when(
              breakpoints.isGone.of().isNot(0),
              () -> {
                goOnFromBreakpoint();
                emitter.run(run);
                emitter.give(0);
              });
          threads.clear(entry, Threads.DRAINING);
          emitter.run(seeStopped);
          emitter.when(
              Shared.FLAGS.has(FLAG_HOLDS_TRAPS),
              () -> threads.set(entry, Threads.HELD),
              () -> emitter.run(passOn));
        });
  }

  private void goOnFromBreakpoint() {
    emitter.when(
        breakpoints.copy.isNot(0),
        () -> emitter.run(goOn, breakpoints.copy),
        () -> emitter.run(goOn, breakpoints.site));
  }

  private Routine firstStop(Slot isThread, Slot same) {
    return emitter.routine(
        "firstStop",
        "a new thread or child: traced from birth, it stops before it runs",
        ImmutableList.of(),
        () -> {
          emitter.set(isThread, 0);
          emitter.when(
              Emitter.call(Sys.TGKILL, target, tid, Value.of(0)).is(0),
              () -> emitter.set(isThread, 1),
              () -> {
                emitter.set(same, Emitter.call(Sys.KCMP, self, tid, Value.of(Sys.KCMP_VM)));
                emitter.when(
                    same.isGreater(0),
                    () -> {
                      emitter.note("it has memory of its own: make its sites whole, let it go");
                      emitter.add(forks, 1);
                      emitter.run(children.settle, tid);
                      ptrace(Sys.PTRACE_DETACH, tid, Value.of(0), Value.of(0));
                      emitter.when(
                          entry.isNot(0),
                          () -> emitter.run(threads.remove, tid),
                          () -> emitter.run(threads.add, tid, Value.of(Threads.SETTLED)));
                      emitter.give(0);
                    });
              });
          emitter.set(entry, threads.add.of(tid, Value.of(Threads.NEWBORN)));
          emitter.when(
              entry.isNot(0),
              () -> {
                emitter.when(isThread.is(0), () -> threads.set(entry, Threads.SHARER));
                emitter.when(
                    answer(Sys.PTRACE_GETSIGMASK, tid, Value.of(Sys.SIGSET_SIZE), WORD.address())
                        .is(0),
                    () -> emitter.run(threads.setMask, entry, WORD.and(SHOWN)));
              });
          emitter.note("if it is a group stop, it reports that again");
          emitter.when(
              signal.isNot(Sys.SIGTRAP),
              () -> ptrace(Sys.PTRACE_INTERRUPT, tid, Value.of(0), Value.of(0)));
          emitter.run(resume, tid, Value.of(0));
        });
  }

  private Routine stop(Slot queued) {
    return emitter.routine(
        "stop",
        "a stop without a signal: ours, or job control's",
        ImmutableList.of(),
        () -> {
          emitter.when(
              Emitter.either(entry.is(0), Threads.flags(entry).has(Threads.EXPECTED)),
              () -> {
                emitter.run(firstStop);
                emitter.give(0);
              });
          emitter.run(repair);
          emitter.set(queued, isTrapQueued.of(tid));
          threads.clear(entry, Threads.ASKED);
          emitter.run(seeStopped);
          emitter.when(queued.is(0), () -> threads.clear(entry, Threads.DRAINING));
          emitter.when(
              Emitter.either(signal.isLess(Sys.SIGSTOP), signal.isGreater(Sys.SIGTTOU)),
              () -> {
                threads.clear(entry, Threads.GROUP_STOPPED);
                emitter.run(resume, tid, Value.of(0));
                emitter.give(0);
              });
          emitter.when(
              queued.isNot(0),
              () -> {
                emitter.note("it was stopped before it could report its trap: that comes first");
                threads.set(entry, Threads.REJOINS_GROUP_STOP);
                emitter.run(resume, tid, Value.of(0));
              },
              () -> {
                threads.set(entry, Threads.GROUP_STOPPED);
                ptrace(Sys.PTRACE_LISTEN, tid, Value.of(0), Value.of(0));
              });
        });
  }

  private Routine takeAll() {
    Slot event = emitter.variable();
    Slot child = emitter.variable();
    Slot known = emitter.variable();
    Slot most = emitter.variable();
    return emitter.routine(
        "takeAll",
        "handle what has happened",
        ImmutableList.of(),
        () -> {
          emitter.note("who is sent to a copy may trap again at once: that is taken next time");
          emitter.set(most, threads.size.times(2).plus(EVENTS_MORE));
          emitter.loop(
              () -> {
                emitter.when(most.isLess(1), () -> emitter.give(0));
                emitter.add(most, -1);
                emitter.set(
                    tid,
                    new Signed(
                        Emitter.call(
                            Sys.WAIT4,
                            Value.of(-1),
                            STATUS.address(),
                            Value.of(Sys.WNOHANG | Sys.WALL),
                            Value.of(0))));
                emitter.when(tid.isLess(1), () -> emitter.give(0));
                emitter.set(status, STATUS);
                emitter.set(entry, threads.find.of(tid));
                emitter.set(signal, status.shiftedRight(8).and(0xff));
                emitter.set(event, status.shiftedRight(16));
                emitter.when(
                    status.and(0xff).isNot(STOPPED),
                    () -> {
                      emitter.note("it has ended; the main thread's end is reported last");
                      emitter.run(threads.remove, tid);
                      emitter.when(tid.is(target), () -> emitter.set(gone, 1));
                    },
                    () -> {
                      emitter.when(entry.isNot(0), () -> threads.clear(entry, Threads.VFORKS));
                      emitter.when(
                          event.is(Sys.PTRACE_EVENT_STOP),
                          () -> emitter.run(stop),
                          () -> other(event, child, known));
                    });
              });
        });
  }

  private void other(Slot event, Slot child, Slot known) {
    emitter.note("any stop takes a request to stop back (kernel/signal.c, ptrace_stop)");
    emitter.when(entry.is(0), () -> emitter.set(entry, threads.add.of(tid, Value.of(0))));
    emitter.when(
        entry.is(0),
        () -> {
          emitter.note("no room: it runs on, and no plan is carried out any more");
          emitter.run(resume, tid, Value.of(0));
          emitter.give(0);
        });
    threads.clear(entry, Threads.ASKED);
    emitter.when(
        Threads.flags(entry).has(Threads.DRAINING),
        () ->
            emitter.when(isTrapQueued.of(tid).is(0), () -> threads.clear(entry, Threads.DRAINING)));
    emitter.when(
        event.is(0),
        () ->
            emitter.when(
                signal.is(Sys.SIGTRAP),
                () -> emitter.run(trap),
                () -> {
                  emitter.note("a handler of the program's is to find it outside");
                  emitter.run(seeStopped);
                  emitter.run(resume, tid, signal);
                }),
        () ->
            emitter.when(
                event.is(Sys.PTRACE_EVENT_EXEC),
                () -> {
                  emitter.note("a sharer of the memory that execs leaves it");
                  emitter.when(tid.is(target), () -> emitter.set(execed, 1));
                  ptrace(Sys.PTRACE_DETACH, tid, Value.of(0), Value.of(0));
                  emitter.run(threads.remove, tid);
                },
                () -> {
                  emitter.note("it has made a thread or a child, which reports itself");
                  ptrace(Sys.PTRACE_GETEVENTMSG, tid, Value.of(0), WORD.address());
                  emitter.set(child, WORD);
                  emitter.set(known, threads.find.of(child));
                  emitter.when(
                      known.is(0),
                      () -> emitter.run(threads.add, child, Value.of(Threads.EXPECTED)),
                      () ->
                          emitter.when(
                              Threads.flags(known).has(Threads.SETTLED),
                              () -> emitter.run(threads.remove, child)));
                  emitter.note("an entry may have moved");
                  emitter.set(entry, threads.find.of(tid));
                  emitter.when(
                      Emitter.both(event.is(Sys.PTRACE_EVENT_VFORK), entry.isNot(0)),
                      () -> threads.set(entry, Threads.VFORKS));
                  emitter.run(seeStopped);
                  emitter.run(resume, tid, Value.of(0));
                }));
  }

  private Routine settle(Slot index) {
    return emitter.routine(
        "settle",
        "put the handler back, then let those go on that waited for it",
        ImmutableList.of(),
        () -> {
          emitter.when(Shared.FLAGS.hasNo(FLAG_IGNORED), () -> emitter.run(handler.putBack));
          emitter.when(
              Emitter.either(
                  Shared.FLAGS.has(FLAG_HOLDS_TRAPS),
                  threads.count.of(Value.of(Threads.HELD)).is(0)),
              () -> emitter.give(0));
          emitter.note("the helper could not put it back yet: job control may have stopped it");
          emitter.when(
              Emitter.both(Shared.FLAGS.hasNo(FLAG_IGNORED), handler.inDoubt.isNot(0)),
              () -> emitter.give(0));
          takeFromEach(index, Threads.HELD, release);
        });
  }

  private Routine release() {
    return emitter.routine(
        "release",
        "a held thread: its breakpoint may be that of a plan that was recovered since",
        ImmutableList.of(),
        () -> {
          emitter.when(
              answer(Sys.PTRACE_GETREGS, tid, Value.of(0), REGISTERS).is(0),
              () -> {
                emitter.run(breakpoints.meet, RIP.minus(1));
                emitter.when(
                    breakpoints.isGone.of().isNot(0),
                    () -> {
                      goOnFromBreakpoint();
                      emitter.run(run);
                      emitter.give(0);
                    });
              });
          emitter.run(resume, tid, Value.of(Sys.SIGTRAP));
        });
  }

  /** Of each thread that has a flag: takes it, and does something with the thread. */
  private void takeFromEach(Slot index, int flag, Routine next) {
    emitter.times(
        index,
        threads.size,
        () -> {
          emitter.set(entry, Threads.at(index));
          emitter.when(
              Threads.flags(entry).has(flag),
              () -> {
                threads.clear(entry, flag);
                emitter.set(tid, Threads.tid(entry));
                emitter.run(next);
              });
        });
  }

  private Routine releaseParked(Slot index) {
    return emitter.routine(
        "releaseParked",
        "those that waited for the plan's end run their site again",
        ImmutableList.of(),
        () -> {
          emitter.when(threads.count.of(Value.of(Threads.PARKED)).is(0), () -> emitter.give(0));
          takeFromEach(index, Threads.PARKED, run);
        });
  }
}
