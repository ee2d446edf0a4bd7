package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_APPLY;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_FILL;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_LEAVE;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_MAP;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_RELEASE;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_SEIZE;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_WAKE;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_HANDLER;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_HOLDS_TRAPS;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_IGNORED;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_YAMA;
import static io.github.textpoke.apply.internal.SessionLayout.IMAGE;
import static io.github.textpoke.apply.internal.SessionLayout.LIST;
import static io.github.textpoke.apply.internal.SessionLayout.OUTCOME_UNKNOWN;
import static io.github.textpoke.apply.internal.SessionLayout.OUTCOME_UNTOUCHED;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_CANCELLED;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_EXECED;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_GONE;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_KILLED;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_OTHER_PROC;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_SIGTRAP_PENDING;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_STALE;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_TOO_MANY;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_UNMAPPED;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.TAKEN;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_CAPACITY;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Entry;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * The poker: a process that shares the target's memory without being a thread of it, so it may
 * trace the target's threads. It seizes them, does what the JVM asks for, and when it has not been
 * asked for a while lets them go and ends. It needs no JVM once it has a plan.
 */
final class PokerTask {
  private static final Place ACTION = new Place(SCRATCH + 0x660);
  private static final Slot SET = new Slot(SCRATCH + 0x620, 8);
  private static final int FILES_SCRATCH = SCRATCH + 0x7a0;
  private static final long TAKEN_SIGNALS =
      1L << Sys.SIGSEGV - 1 | 1L << Sys.SIGBUS - 1 | 1L << Sys.SIGALRM - 1;
  private static final long NAMED_NANOS = 1_000_000;
  private static final int HOLD_NANOS = 100_000_000;
  private static final int STANDING_LOOK_NANOS = 1_000_000_000;
  private static final int LINK_SIZE = 32;

  /** It never returns. */
  final Routine main;

  private final Emitter emitter;
  private final Assembler assembler;
  private final Shared shared;
  private final Leaves leaves;
  private final ProcFiles files;
  private final ThreadFiles threadFiles;
  private final Threads threads;
  private final SigtrapHandler handler;
  private final Events events;
  private final Seizing seizing;
  private final Plans plans;
  private final Draining draining;
  private final Slot request;
  private final Slot last;
  private final Slot index;
  private final Routine answer;

  PokerTask(Emitter emitter, Assembler assembler, Shared shared) {
    this.emitter = emitter;
    this.assembler = assembler;
    this.shared = shared;
    leaves = new Leaves(emitter, assembler);
    files = new ProcFiles(emitter, FILES_SCRATCH);
    threadFiles =
        new ThreadFiles(emitter, assembler, files, FILES_SCRATCH + ProcFiles.SCRATCH_SIZE);
    threads = new Threads(emitter, leaves);
    handler = new SigtrapHandler(emitter, shared);
    Sites sites = new Sites(emitter);
    Evacuees evacuees = new Evacuees(emitter, leaves, sites, threads);
    events = new Events(emitter, shared, leaves, threads, handler, files, sites, evacuees);
    seizing = new Seizing(emitter, shared, files, threadFiles, threads, events);
    Evacuating evacuating =
        new Evacuating(
            emitter, shared, files, threadFiles, threads, sites, evacuees, events, seizing);
    plans = new Plans(emitter, shared, leaves, events, evacuating);
    draining = new Draining(emitter, threadFiles, threads, events, seizing, plans);
    request = emitter.variable();
    last = emitter.variable();
    index = emitter.variable();
    answer =
        emitter.routine(
            "answer",
            "the request is done",
            ImmutableList.of(),
            () -> {
              emitter.set(Shared.THREADS, threads.size);
              emitter.set(Shared.ANSWERED, request);
              shared.wake(Shared.ANSWERED);
            });
    Routine prepare = prepare();
    Routine begin = begin();
    Routine apply = apply();
    Routine map = map();
    Routine fill = fill();
    Routine serve = serve(() -> dispatch(apply, map, fill));
    main =
        emitter.routine(
            "poker",
            "the poker",
            ImmutableList.of(),
            () -> {
              emitter.run(prepare);
              emitter.when(
                  begin.of().isNot(0),
                  () -> {
                    emitter.run(answer);
                    emitter.system(Sys.EXIT_GROUP, Value.of(0));
                  });
              emitter.run(serve);
              emitter.note("let the threads go: when we end, the kernel does, without a stop");
              emitter.set(Shared.FLAGS, Shared.FLAGS.and(~FLAG_HOLDS_TRAPS));
              emitter.when(
                  events.gone.or(events.execed).is(0),
                  () -> {
                    emitter.run(events.settle);
                    emitter.run(events.breakpoints.standing.sleep);
                    emitter.run(draining.drain);
                    emitter.run(handler.putBack);
                    emitter.run(events.settle);
                  });
              emitter.system(Sys.EXIT_GROUP, Value.of(0));
            });
  }

  private Routine prepare() {
    return emitter.routine(
        "prepare",
        "signals and names of our own",
        ImmutableList.of(),
        () -> {
          emitter.note(
              "faults and our timer are ours to take, SIGCHLD is waited for, all else is blocked");
          emitter.set(SET, ~TAKEN_SIGNALS);
          emitter.system(
              Sys.RT_SIGPROCMASK,
              Value.of(Sys.SIG_SETMASK),
              SET.address(),
              Value.of(0),
              Value.of(Sys.SIGSET_SIZE));
          emitter.store(ACTION, Sys.ACTION_HANDLER, 8, new Entry(leaves.faultHandler));
          emitter.store(ACTION, Sys.ACTION_FLAGS, 8, Value.of(Sys.SA_SIGINFO | Sys.SA_RESTORER));
          emitter.store(ACTION, Sys.ACTION_RESTORER, 8, new Entry(leaves.restorer));
          emitter.store(ACTION, Sys.ACTION_MASK, 8, Value.of(0));
          action(Sys.SIGSEGV);
          action(Sys.SIGBUS);
          emitter.store(ACTION, Sys.ACTION_HANDLER, 8, new Entry(seizing.reaper));
          action(Sys.SIGALRM);
          emitter.store(ACTION, Sys.ACTION_HANDLER, 8, Value.of(0));
          emitter.store(ACTION, Sys.ACTION_FLAGS, 8, Value.of(0));
          emitter.store(ACTION, Sys.ACTION_RESTORER, 8, Value.of(0));
          action(Sys.SIGCHLD);
          emitter.set(events.target, Emitter.call(Sys.GETPPID));
          emitter.set(events.self, Emitter.call(Sys.GETPID));
          threads.forgetAll();
          emitter.set(events.gone, 0);
          emitter.set(events.execed, 0);
          emitter.set(request, Shared.REQUEST);
          emitter.when(
              Shared.FLAGS.has(FLAG_YAMA),
              () ->
                  emitter.loopWhile(
                      Emitter.both(
                          Shared.NAMED.isNot(events.self),
                          Emitter.call(Sys.TGKILL, Shared.TARGET, Shared.HELPER, Value.of(0))
                              .is(0)),
                      () ->
                          emitter.compute(shared.await(Shared.NAMED, Shared.NAMED, NAMED_NANOS))));
        });
  }

  private void action(int signal) {
    emitter.system(
        Sys.RT_SIGACTION, Value.of(signal), ACTION, Value.of(0), Value.of(Sys.SIGSET_SIZE));
  }

  /**
   * The ids that we use are of our pid namespace; those in /proc are of the one that it was mounted
   * for. Where they differ, they name strangers.
   */
  private Routine isOurProc() {
    Place link = threadFiles.text;
    return emitter.routine(
        "isOurProc",
        "whether /proc shows this very process, and our parent is the target",
        ImmutableList.of(),
        () -> {
          emitter.when(events.target.isNot(Shared.TARGET), () -> emitter.give(0));
          emitter.store(link, 0, 8, ProcFiles.word("/proc/se"));
          emitter.store(link, 8, 8, ProcFiles.word("lf"));
          emitter.set(last, Emitter.call(Sys.READLINK, link, link.plus(16), Value.of(LINK_SIZE)));
          emitter.when(last.isLess(1), () -> emitter.give(0));
          emitter.store(link.plus(last), 16, 1, Value.of(0));
          emitter.when(
              threadFiles.number.of(link.plus(16)).isNot(events.self), () -> emitter.give(0));
          emitter.when(
              Emitter.call(Sys.KCMP, events.self, events.target, Value.of(Sys.KCMP_VM)).is(0),
              () -> emitter.give(1));
        });
  }

  private Routine begin() {
    Slot problem = emitter.variable();
    Routine isOurProc = isOurProc();
    return emitter.routine(
        "begin",
        "seize the threads, and finish what another poker was killed in; 0, or it can't be",
        ImmutableList.of(),
        () -> {
          emitter.note("another one may have been killed at any point");
          emitter.set(events.holding, 0);
          emitter.when(Shared.UNDER_WAY.is(0), () -> emitter.set(events.breakpoints.underWay, 0));
          emitter.set(problem, RESULT_OTHER_PROC);
          emitter.when(isOurProc.of().isNot(0), () -> emitter.set(problem, seizing.seizeAll.of()));
          emitter.when(
              problem.is(0),
              () -> {
                emitter.run(files.path, events.target, ProcFiles.word("/mem"));
                emitter.set(plans.memory, files.open.of(Value.of(Sys.O_RDWR | Sys.O_CLOEXEC)));
                emitter.when(plans.memory.isLess(0), () -> emitter.set(problem, plans.memory));
              });
          emitter.note("an execve before the first thread was seized is reported to nobody");
          emitter.when(
              problem.is(0),
              () ->
                  emitter.when(
                      Emitter.call(Sys.KCMP, events.self, events.target, Value.of(Sys.KCMP_VM))
                          .isNot(0),
                      () -> emitter.set(problem, RESULT_EXECED)));
          emitter.when(problem.is(0), () -> emitter.set(problem, syncs()));
          emitter.when(
              problem.isNot(0),
              () -> {
                emitter.note("another poker has done it: that is the answer, whatever we may not");
                emitter.when(
                    Emitter.both(
                        Shared.REQUEST.isNot(Shared.ANSWERED), Shared.FINISHED.is(request)),
                    () -> emitter.give(1));
                emitter.set(Shared.RESULT, problem);
                emitter.set(Shared.RESULT_OUTCOME, OUTCOME_UNTOUCHED);
                emitter.when(
                    Shared.UNDER_WAY.isNot(0),
                    () -> emitter.set(Shared.RESULT_OUTCOME, OUTCOME_UNKNOWN));
                emitter.set(new Slot(TAKEN, 4), request);
                emitter.give(1);
              });
          emitter.add(Shared.HOLD, 1);
          emitter.run(handler.note);
          emitter.note("threads may run into breakpoints before we have a plan");
          emitter.when(
              Emitter.either(
                  Shared.UNDER_WAY.or(Shared.STANDING).isNot(0),
                  Shared.FLAGS.has(FLAG_HOLDS_TRAPS)),
              () -> emitter.run(seizing.readMasks, Value.of(Threads.UNREAD)));
          emitter.when(
              Shared.UNDER_WAY.isNot(0),
              () -> {
                emitter.run(plans.mend, Shared.UNDER_WAY);
                emitter.set(Shared.UNDER_WAY, 0);
                emitter.set(Shared.RESULT, RESULT_KILLED);
                emitter.run(answer);
              });
          emitter.note("nobody has asked for us; else processes that share the memory come first");
          emitter.when(
              Shared.REQUEST.is(Shared.ANSWERED),
              () -> emitter.run(events.breakpoints.standing.wake));
          emitter.note("another poker has done it, and was killed before it could say so");
          emitter.when(
              Emitter.both(Shared.REQUEST.isNot(Shared.ANSWERED), Shared.FINISHED.is(request)),
              () -> emitter.run(answer));
        });
  }

  /** Core syncs must be asked for once per memory, which takes the kernel some milliseconds. */
  private Value syncs() {
    return Emitter.call(
        Sys.MEMBARRIER,
        Value.of(Sys.MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE),
        Value.of(0),
        Value.of(0));
  }

  private Routine apply() {
    return emitter.routine(
        "applyRequest",
        "the JVM wants a plan carried out",
        ImmutableList.of(),
        () -> {
          emitter.set(Shared.RESULT_OUTCOME, 0);
          emitter.when(
              Shared.WANTED_HOLD.isNot(Shared.HOLD),
              () -> {
                emitter.set(Shared.RESULT, RESULT_STALE);
                emitter.give(0);
              });
          emitter.run(seizing.seizeStragglers);
          emitter.set(Shared.RESULT, seizing.problem);
          emitter.when(
              threads.size.isGreater(TRACEE_CAPACITY / 2),
              () -> emitter.set(Shared.RESULT, RESULT_TOO_MANY));
          emitter.when(Shared.RESULT.isNot(0), () -> emitter.give(0));
          emitter.set(
              Shared.RESULT_STEP, seizing.readMasks.of(Value.of(Threads.NEWBORN | Threads.UNREAD)));
          emitter.when(
              Shared.RESULT_STEP.isNot(0),
              () -> {
                emitter.set(Shared.RESULT, RESULT_SIGTRAP_PENDING);
                emitter.give(0);
              });
          emitter.when(
              Shared.FLAGS.has(FLAG_HANDLER),
              () ->
                  emitter.when(Shared.FLAGS.hasNo(FLAG_IGNORED), () -> emitter.run(handler.note)));
          emitter.run(plans.apply, Shared.PLAN, request);
        });
  }

  private Routine map() {
    Slot file = emitter.variable();
    return emitter.routine(
        "map",
        "memory of ours in the target, with a name of its own",
        ImmutableList.of(),
        () -> {
          emitter.set(
              file, Emitter.call(Sys.MEMFD_CREATE, Shared.MAP_NAME, Value.of(Sys.MFD_CLOEXEC)));
          emitter.set(Shared.RESULT, file);
          emitter.when(file.isLess(0), () -> emitter.give(0));
          emitter.set(Shared.RESULT, Emitter.call(Sys.FTRUNCATE, file, Shared.MAP_SIZE));
          emitter.when(
              Shared.RESULT.is(0),
              () ->
                  emitter.set(
                      Shared.RESULT,
                      Emitter.call(
                          Sys.MMAP,
                          Shared.MAP_ADDRESS,
                          Shared.MAP_SIZE,
                          Shared.MAP_PROTECTION,
                          Value.of(Sys.MAP_PRIVATE | Sys.MAP_FIXED_NOREPLACE),
                          file,
                          Value.of(0))));
          emitter.when(Shared.RESULT.is(Shared.MAP_ADDRESS), () -> emitter.set(Shared.RESULT, 0));
          emitter.system(Sys.CLOSE, file);
        });
  }

  private Routine fill() {
    return emitter.routine(
        "fill",
        "write to memory of ours that no thread runs yet",
        ImmutableList.of(),
        () -> {
          emitter.set(Shared.RESULT_ADDRESS, Shared.MAP_ADDRESS);
          emitter.when(
              Emitter.call(
                      Sys.PWRITE64,
                      plans.memory,
                      new Place(IMAGE),
                      Shared.MAP_SIZE,
                      Shared.MAP_ADDRESS)
                  .isNot(Shared.MAP_SIZE),
              () -> emitter.set(Shared.RESULT, RESULT_UNMAPPED));
        });
  }

  private Routine serve(Runnable dispatch) {
    Slot wait = emitter.variable();
    return emitter.routine(
        "serve",
        "take what happens and what is asked for, until nothing was for a while",
        ImmutableList.of(),
        () -> {
          emitter.set(last, shared.now.of());
          emitter.loop(
              () -> {
                emitter.run(events.takeAll);
                emitter.run(events.settle);
                emitter.when(
                    Emitter.both(threads.size.is(0), events.execed.is(0)),
                    () -> emitter.set(events.gone, 1));
                emitter.when(
                    Shared.REQUEST.isNot(Shared.ANSWERED),
                    () -> {
                      emitter.set(request, Shared.REQUEST);
                      emitter.when(
                          Emitter.either(
                              Shared.COMMAND.is(COMMAND_RELEASE),
                              Emitter.both(
                                  Shared.COMMAND.is(COMMAND_LEAVE), Shared.STANDING.is(0))),
                          () -> {
                            emitter.note("the helper answers, when we have ended");
                            emitter.give(0);
                          });
                      take();
                      emitter.when(Shared.RESULT.is(0), dispatch);
                      emitter.run(answer);
                      emitter.set(last, shared.now.of());
                    });
                emitter.when(
                    events.gone.or(events.execed).or(Shared.YIELD).isNot(0), () -> emitter.give(0));
                emitter.note("nobody waits for us now");
                emitter.run(seizing.readMasks, Value.of(Threads.UNREAD));
                emitter.set(wait, Shared.LINGER);
                emitter.note("who has asked to hold the threads is about to say what for");
                emitter.when(
                    Emitter.both(Shared.COMMAND.isNot(COMMAND_APPLY), wait.isLess(HOLD_NANOS)),
                    () -> emitter.set(wait, HOLD_NANOS));
                emitter.set(wait, last.plus(wait).minus(shared.now.of()));
                emitter.note("breakpoints that stay need us; who was to wake them may have died");
                emitter.when(
                    Emitter.both(wait.isLess(1), Shared.STANDING.isNot(0)),
                    () -> {
                      emitter.when(
                          events.breakpoints.standing.anySleeps.of().isNot(0),
                          () -> emitter.run(events.breakpoints.standing.wake));
                      emitter.set(wait, STANDING_LOOK_NANOS);
                    });
                emitter.when(wait.isLess(1), () -> emitter.give(0));
                emitter.when(
                    Shared.REQUEST.is(Shared.ANSWERED), () -> emitter.run(events.awaitEvent, wait));
              });
        });
  }

  /** Either we take a request on, or the JVM has cancelled it, never both. */
  private void take() {
    emitter.note("take the request on, unless the JVM has cancelled it");
    emitter.set(Shared.RESULT, RESULT_CANCELLED);
    emitter.compute(request.minus(1));
    assembler.address(Register.RDI, Emitter.BASE, TAKEN);
    assembler.load(Register.RDX, Emitter.BASE, request.offset(), Long.BYTES);
    assembler.compareAndSwap();
    Assembler.Label cancelled = new Assembler.Label();
    assembler.jump(Assembler.Condition.NOT_EQUAL, cancelled);
    emitter.set(Shared.RESULT, 0);
    assembler.place(cancelled);
  }

  private void dispatch(Routine apply, Routine map, Routine fill) {
    emitter.when(events.gone.isNot(0), () -> emitter.set(Shared.RESULT, RESULT_GONE));
    emitter.when(events.execed.isNot(0), () -> emitter.set(Shared.RESULT, RESULT_EXECED));
    emitter.when(
        Emitter.both(Shared.RESULT.is(0), Shared.COMMAND.is(COMMAND_APPLY)),
        () -> emitter.run(apply),
        () ->
            emitter.when(
                Emitter.both(Shared.RESULT.is(0), Shared.COMMAND.is(COMMAND_MAP)),
                () -> emitter.run(map),
                () ->
                    emitter.when(
                        Emitter.both(Shared.RESULT.is(0), Shared.COMMAND.is(COMMAND_FILL)),
                        () -> emitter.run(fill))));
    emitter.when(
        Emitter.both(Shared.RESULT.is(0), Shared.COMMAND.is(COMMAND_WAKE)),
        () -> emitter.run(events.breakpoints.standing.wake));
    emitter.when(
        Emitter.both(Shared.RESULT.is(0), Shared.COMMAND.is(COMMAND_SEIZE)),
        () -> {
          emitter.note("what went wrong before may be over");
          emitter.set(seizing.problem, 0);
          emitter.times(
              index,
              Shared.LIST_COUNT,
              () ->
                  emitter.run(
                      seizing.seizeProcess,
                      new Place(LIST).plus(index.times(4)).intAt(0),
                      Value.of(Threads.SHARER)));
          emitter.set(Shared.RESULT, seizing.problem);
        });
  }
}
