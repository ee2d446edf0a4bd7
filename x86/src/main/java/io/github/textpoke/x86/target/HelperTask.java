package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_LEAVE;
import static io.github.textpoke.apply.internal.SessionLayout.COMMAND_RELEASE;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_YAMA;
import static io.github.textpoke.apply.internal.SessionLayout.LEFT;
import static io.github.textpoke.apply.internal.SessionLayout.OUTCOME_UNKNOWN;
import static io.github.textpoke.apply.internal.SessionLayout.POKER_STACK;
import static io.github.textpoke.apply.internal.SessionLayout.RESULT_DYING;
import static io.github.textpoke.apply.internal.SessionLayout.TAKEN;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Entry;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * The helper: a thread of the target that starts the poker when there is something to do, reaps it,
 * and makes the calls that only a thread of the target can make. It sleeps; when it has not been
 * woken for a while it unmaps the session's memory and ends.
 */
final class HelperTask {
  private static final int MOST_DEATHS = 100;
  private static final long SLEEPING_LOOK_NANOS = 20_000_000;
  private static final long FOR_EVER_NANOS = 1_000_000_000L * 1_000_000;

  /** Bytes of the instruction that moves a call's number to EAX. */
  private static final int NUMBER_LENGTH = 5;

  /** It never returns. */
  final Routine main;

  private final Emitter emitter;
  private final Assembler assembler;
  private final Shared shared;
  private final Slot child;
  private final Slot deaths;

  /** Whether a poker has to be started that nobody has asked for. */
  private final Slot due;

  /** Since when breakpoints that stay have been asleep. */
  private final Slot rested;

  /** The number of the last poker that held the threads. */
  private final Slot hold;

  /** The status with which the last poker has ended. */
  private final Slot ended;

  /**
   * @param poker what the poker runs
   */
  HelperTask(Emitter emitter, Assembler assembler, Shared shared, Routine poker) {
    this.emitter = emitter;
    this.assembler = assembler;
    this.shared = shared;
    child = emitter.variable();
    deaths = emitter.variable();
    ended = emitter.variable();
    due = emitter.variable();
    rested = emitter.variable();
    hold = emitter.variable();
    Routine answer =
        emitter.routine(
            "helper.answer",
            "the request is done, or can't be",
            ImmutableList.of(),
            () -> {
              emitter.set(Shared.ANSWERED, Shared.REQUEST);
              shared.wake(Shared.ANSWERED);
            });
    Routine leaveTarget = leaveTarget();
    Routine lentCall = lentCall(leaveTarget);
    Routine attend = attend();
    Routine start = start(poker);
    main =
        emitter.routine(
            "helper",
            "the helper",
            ImmutableList.of(),
            () -> {
              emitter.set(Shared.LENT_CALL, new Entry(lentCall).plus(NUMBER_LENGTH));
              emitter.set(rested, shared.now.of());
              emitter.loop(
                  () -> {
                    emitter.when(
                        Emitter.both(Shared.REQUEST.is(Shared.ANSWERED), due.is(0)),
                        () -> awaitRequest(leaveTarget));
                    emitter.when(
                        Emitter.either(Shared.REQUEST.isNot(Shared.ANSWERED), due.isNot(0)),
                        () -> {
                          emitter.when(
                              Emitter.both(
                                  Shared.REQUEST.isNot(Shared.ANSWERED),
                                  Emitter.either(
                                      Shared.COMMAND.is(COMMAND_RELEASE),
                                      Shared.COMMAND.is(COMMAND_LEAVE))),
                              () -> {
                                emitter.set(new Slot(TAKEN, 4), Shared.REQUEST);
                                emitter.set(Shared.RESULT, 0);
                                emitter.set(rested, shared.now.of());
                                emitter.set(due, 0);
                                emitter.run(answer);
                                emitter.when(
                                    Shared.COMMAND.is(COMMAND_LEAVE),
                                    () ->
                                        emitter.when(
                                            Shared.STANDING.is(0),
                                            () -> emitter.run(leaveTarget),
                                            () -> emitter.set(due, 1)));
                              },
                              () -> {
                                emitter.set(due, 0);
                                emitter.set(hold, Shared.HOLD);
                                emitter.set(child, start.of());
                                emitter.when(
                                    child.isLess(0),
                                    () -> {
                                      emitter.set(new Slot(TAKEN, 4), Shared.REQUEST);
                                      emitter.set(Shared.RESULT, child);
                                      emitter.run(answer);
                                    },
                                    () -> {
                                      emitter.run(attend);
                                      countDeaths(answer);
                                      emitter.set(rested, shared.now.of());
                                      emitter.note("whoever was killed has left breakpoints");
                                      emitter.when(
                                          Emitter.both(
                                              Emitter.both(ended.isNot(0), Shared.HOLD.isNot(hold)),
                                              Shared.STANDING.isNot(0)),
                                          () -> emitter.set(due, 1));
                                    });
                              });
                        });
                  });
            });
  }

  private void awaitRequest(Routine leaveTarget) {
    emitter.when(
        Shared.STANDING.is(0),
        () ->
            emitter.when(
                Emitter.both(
                    shared.await(Shared.REQUEST, Shared.ANSWERED, Shared.LEASE).is(-Sys.ETIMEDOUT),
                    Shared.REQUEST.is(Shared.ANSWERED)),
                () -> emitter.run(leaveTarget)),
        () -> {
          emitter.when(Shared.YIELD.isNot(0), () -> emitter.run(leaveTarget));
          emitter.note("who has put breakpoints to sleep wakes them, unless it was killed");
          emitter.compute(shared.await(Shared.REQUEST, Shared.ANSWERED, SLEEPING_LOOK_NANOS));
          emitter.when(
              shared.now.of().minus(rested).isGreater(Shared.LEASE), () -> emitter.set(due, 1));
        });
  }

  /**
   * A poker that dies and leaves a request undone is followed by another, but not for ever. One
   * that leaves by itself may leave one undone as well, which came too late for it.
   */
  private void countDeaths(Routine answer) {
    emitter.add(deaths, 1);
    emitter.when(
        Emitter.either(Shared.REQUEST.is(Shared.ANSWERED), ended.is(0)),
        () -> emitter.set(deaths, 0));
    emitter.when(
        deaths.isGreater(MOST_DEATHS),
        () -> {
          emitter.set(deaths, 0);
          emitter.set(new Slot(TAKEN, 4), Shared.REQUEST);
          emitter.set(Shared.RESULT, RESULT_DYING);
          emitter.set(Shared.RESULT_OUTCOME, OUTCOME_UNKNOWN);
          emitter.run(answer);
        });
  }

  private Routine start(Routine poker) {
    return emitter.routine(
        "start",
        "start the poker; its process id, or the negated errno",
        ImmutableList.of(),
        () -> {
          emitter.compute(
              Emitter.call(
                  Sys.CLONE,
                  Value.of(Sys.CLONE_VM | Sys.CLONE_PARENT_SETTID | Sys.CLONE_CHILD_CLEARTID),
                  new Place(POKER_STACK),
                  Shared.POKER.address(),
                  Shared.POKER.address(),
                  Value.of(0)));
          emitter.note("the child goes on here with a stack of its own");
          Assembler.Label parent = new Assembler.Label();
          assembler.operate(Operation.CMP, Register.RAX, 0);
          assembler.jump(Condition.NOT_EQUAL, parent);
          assembler.call(poker.entry());
          assembler.undefined();
          assembler.place(parent);
          assembler.ret();
        });
  }

  private Routine attend() {
    return emitter.routine(
        "attend",
        "while the poker lives: make calls for it; then reap it",
        ImmutableList.of(),
        () -> {
          name(child);
          emitter.note("the kernel clears the word and wakes us when the poker ends");
          emitter.loopWhile(
              Shared.POKER.isNot(0),
              () -> {
                emitter.when(
                    Shared.CALL.is(1),
                    () -> {
                      emitter.set(
                          Shared.CALL_RESULT,
                          Emitter.call(
                              Sys.RT_SIGACTION,
                              Value.of(Sys.SIGTRAP),
                              Shared.CALL_NEW,
                              Shared.CALL_OLD,
                              Value.of(Sys.SIGSET_SIZE)));
                      emitter.set(Shared.CALL, 2);
                      shared.wake(Shared.CALL);
                    });
                emitter.compute(shared.await(Shared.POKER, child, FOR_EVER_NANOS));
              });
          emitter.set(ended, 0);
          emitter.system(Sys.WAIT4, child, ended.address(), Value.of(Sys.WALL), Value.of(0));
          name(Value.of(0));
        });
  }

  private void name(Value tracer) {
    emitter.when(
        Shared.FLAGS.has(FLAG_YAMA),
        () -> {
          emitter.system(Sys.PRCTL, Value.of(Sys.PR_SET_PTRACER), tracer);
          emitter.set(Shared.NAMED, tracer);
          shared.wake(Shared.NAMED);
        });
  }

  private Routine lentCall(Routine leaveTarget) {
    return emitter.routine(
        "lentCall",
        "a call for who traces the helper; who comes behind it has no tracer any more",
        ImmutableList.of(),
        () -> {
          emitter.note("the tracer chooses the call, and begins at the instruction that makes it");
          assembler.move(Register.RAX, Sys.EXIT);
          assembler.syscall();
          emitter.run(leaveTarget);
        });
  }

  private Routine leaveTarget() {
    return emitter.routine(
        "leaveTarget",
        "unmap the session's memory and end; from there on only registers are used",
        ImmutableList.of(),
        () -> {
          emitter.set(Shared.STATE, LEFT);
          shared.wake(Shared.ANSWERED);
          emitter.system(Sys.MUNMAP, new Place(0), Shared.SIZE);
          emitter.system(Sys.EXIT, Value.of(0));
        });
  }
}
