package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.LaunchLayout.ARGUMENTS;
import static io.github.textpoke.apply.internal.LaunchLayout.CHILD;
import static io.github.textpoke.apply.internal.LaunchLayout.CHILD_STACK;
import static io.github.textpoke.apply.internal.LaunchLayout.CLOSED;
import static io.github.textpoke.apply.internal.LaunchLayout.DIRECTORY;
import static io.github.textpoke.apply.internal.LaunchLayout.ENDED;
import static io.github.textpoke.apply.internal.LaunchLayout.ENVIRONMENT;
import static io.github.textpoke.apply.internal.LaunchLayout.ERROR;
import static io.github.textpoke.apply.internal.LaunchLayout.JVM;
import static io.github.textpoke.apply.internal.LaunchLayout.LAUNCHER;
import static io.github.textpoke.apply.internal.LaunchLayout.LAUNCHER_STACK;
import static io.github.textpoke.apply.internal.LaunchLayout.MASK;
import static io.github.textpoke.apply.internal.LaunchLayout.PATH;
import static io.github.textpoke.apply.internal.LaunchLayout.RELEASE;
import static io.github.textpoke.apply.internal.LaunchLayout.SCRATCH;
import static io.github.textpoke.apply.internal.LaunchLayout.STATUS;
import static io.github.textpoke.apply.internal.LaunchLayout.STEP;
import static io.github.textpoke.apply.internal.LaunchLayout.STEP_DESCRIPTORS;
import static io.github.textpoke.apply.internal.LaunchLayout.STEP_DIRECTORY;
import static io.github.textpoke.apply.internal.LaunchLayout.STEP_EXEC;
import static io.github.textpoke.apply.internal.LaunchLayout.STEP_STREAM;
import static io.github.textpoke.apply.internal.LaunchLayout.STREAMS;
import static io.github.textpoke.apply.internal.LaunchLayout.STREAM_COUNT;
import static io.github.textpoke.apply.internal.LaunchLayout.STREAM_SIZE;
import static io.github.textpoke.apply.internal.LaunchLayout.VARIABLES;
import static io.github.textpoke.apply.internal.LaunchLayout.VARIABLES_END;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Signed;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * The launcher: a process that shares this JVM's memory, and is the parent of a program that is
 * started. It is there because a JVM must not trace a child of its own: who waits for the program's
 * end, as its parent, and who waits for its stops, as its tracer, would be the same process, and
 * take the one for the other. It ends with the program, or with the JVM; with the JVM the program
 * ends too, as long as it was not let go.
 */
final class LaunchTask {
  private static final Slot SET = new Slot(SCRATCH, 8);
  private static final Place ACTION = new Place(SCRATCH + 0x10);
  private static final int ACTION_SIZE = 32;
  private static final int SET_SIZE = 8;
  private static final int LAST_SIGNAL = 64;
  private static final long LAST_DESCRIPTOR = 0xffffffffL;
  private static final int OPEN_MODE = 0666;
  private static final int NOT_STARTED = 127;

  private final Emitter emitter;
  private final Assembler assembler;
  private final Slot child = new Slot(CHILD, 4);
  private final Routine program;
  private final Routine launcher;

  private LaunchTask(Emitter emitter, Assembler assembler) {
    this.emitter = emitter;
    this.assembler = assembler;
    program = program();
    launcher = launcher();
  }

  /**
   * The code. It is called as a C function with the address of its memory (LaunchLayout), starts
   * the launcher and returns its process id, or the negated errno.
   */
  static byte[] emit(Assembler assembler) {
    Emitter emitter = new Emitter(assembler, VARIABLES, VARIABLES_END);
    Label start = new Label();
    assembler.note("entry: called by the JVM");
    assembler.jump(start);
    LaunchTask task = new LaunchTask(emitter, assembler);
    assembler.note("start: clone the launcher, which goes on with a stack of its own");
    assembler.place(start);
    assembler.push(Emitter.BASE);
    assembler.move(Emitter.BASE, Register.RDI);
    task.become(task.launcher, Sys.CLONE_VM, LAUNCHER_STACK);
    assembler.pop(Emitter.BASE);
    assembler.ret();
    return assembler.toByteArray();
  }

  /** Clones a process that runs a routine, and leaves its id, or the negated errno, in RAX. */
  private void become(Routine routine, int flags, int stack) {
    emitter.compute(
        Emitter.call(
            Sys.CLONE, Value.of(flags), new Place(stack), Value.of(0), Value.of(0), Value.of(0)));
    Label parent = new Label();
    assembler.operate(Operation.CMP, Register.RAX, 0);
    assembler.jump(Condition.NOT_EQUAL, parent);
    assembler.call(routine.entry());
    assembler.undefined();
    assembler.place(parent);
  }

  private void maskSignals(Value set) {
    emitter.system(
        Sys.RT_SIGPROCMASK, Value.of(Sys.SIG_SETMASK), set, Value.of(0), Value.of(SET_SIZE));
  }

  private void clearAction() {
    for (int offset = 0; offset < ACTION_SIZE; offset += 8) {
      emitter.store(ACTION, offset, 8, Value.of(0));
    }
  }

  private void setDefault(Value signal) {
    clearAction();
    emitter.system(Sys.RT_SIGACTION, signal, ACTION, Value.of(0), Value.of(SET_SIZE));
  }

  // ---------------------------------------------------------------- the launcher

  private Routine launcher() {
    Slot answer = emitter.variable();
    return emitter.routine(
        "launcher",
        "the launcher: it starts the program, and waits for its end or the JVM's",
        ImmutableList.of(),
        () -> {
          emitter.note("no signal, and no handler of the JVM's, concerns us");
          emitter.set(SET, -1);
          maskSignals(SET.address());
          emitter.note("blocked, so kept: told when the JVM's thread ends, and that may be before");
          emitter.system(Sys.PRCTL, Value.of(Sys.PR_SET_PDEATHSIG), Value.of(Sys.SIGTERM));
          endWithJvm();
          emitter.set(new Slot(LAUNCHER, 8), Emitter.call(Sys.GETPID));
          become(program, Sys.CLONE_VM | Sys.SIGCHLD, CHILD_STACK);
          emitter.note("the program has the JVM's dispositions; we wait for children");
          assembler.store(Emitter.BASE, answer.offset(), Register.RAX, answer.width());
          setDefault(Value.of(Sys.SIGSEGV));
          setDefault(Value.of(Sys.SIGCHLD));
          emitter.note("the JVM's descriptors: who is at the other end must see them closed");
          emitter.when(
              answer.isGreater(0),
              () -> {
                emitter.set(
                    new Slot(ERROR, 8),
                    Emitter.call(
                        Sys.CLOSE_RANGE, Value.of(0), Value.of(LAST_DESCRIPTOR), Value.of(0)));
                emitter.when(
                    new Slot(ERROR, 8).isNot(0),
                    () -> {
                      emitter.system(Sys.KILL, answer, Value.of(Sys.SIGKILL));
                      emitter.set(answer, new Slot(ERROR, 8));
                    });
              });
          emitter.set(child, answer);
          emitter.system(
              Sys.FUTEX, child.address(), Value.of(Sys.FUTEX_WAKE), Value.of(Integer.MAX_VALUE));
          emitter.when(answer.isLess(0), () -> emitter.system(Sys.EXIT_GROUP, Value.of(0)));
          emitter.loop(
              () -> {
                emitter.set(
                    answer,
                    new Signed(
                        Emitter.call(
                            Sys.WAIT4,
                            child,
                            new Place(STATUS),
                            Value.of(Sys.WNOHANG),
                            Value.of(0))));
                emitter.when(answer.isNot(0), emitter::leave);
                emitter.set(SET, 1L << Sys.SIGCHLD - 1 | 1L << Sys.SIGTERM - 1);
                emitter.system(
                    Sys.RT_SIGTIMEDWAIT,
                    SET.address(),
                    Value.of(0),
                    Value.of(0),
                    Value.of(SET_SIZE));
                endWithJvm();
              });
          emitter.when(answer.isGreater(0), () -> emitter.set(new Slot(ENDED, 8), 1));
          emitter.system(Sys.EXIT_GROUP, Value.of(0));
        });
  }

  private void endWithJvm() {
    emitter.when(
        Emitter.call(Sys.GETPPID).isNot(new Slot(JVM, 8)),
        () -> emitter.system(Sys.EXIT_GROUP, Value.of(0)));
  }

  // ---------------------------------------------------------------- the program's process

  /** Does something that must work, or ends. */
  private void must(int step, Slot result, Value call) {
    emitter.set(result, call);
    emitter.when(
        result.isLess(0),
        () -> {
          emitter.set(new Slot(STEP, 8), step);
          emitter.set(new Slot(ERROR, 8), result);
          emitter.system(Sys.EXIT_GROUP, Value.of(NOT_STARTED));
        });
  }

  private Routine program() {
    Slot result = emitter.variable();
    Slot range = emitter.variable();
    Slot signal = emitter.variable();
    Slot released = new Slot(RELEASE, 4);
    return emitter.routine(
        "program",
        "the program's process, from its birth to its execve",
        ImmutableList.of(),
        () -> {
          emitter.note("as long as it is held, it ends with the launcher");
          emitter.system(Sys.PRCTL, Value.of(Sys.PR_SET_PDEATHSIG), Value.of(Sys.SIGKILL));
          emitter.when(
              Emitter.call(Sys.GETPPID).isNot(new Slot(LAUNCHER, 8)),
              () -> emitter.system(Sys.EXIT_GROUP, Value.of(NOT_STARTED)));
          emitter.note("until it is traced");
          emitter.loopWhile(
              released.is(0),
              () ->
                  emitter.system(
                      Sys.FUTEX,
                      released.address(),
                      Value.of(Sys.FUTEX_WAIT),
                      Value.of(0),
                      Value.of(0)));
          Slot directory = new Slot(DIRECTORY, 8);
          emitter.when(
              directory.isNot(0),
              () -> must(STEP_DIRECTORY, result, Emitter.call(Sys.CHDIR, directory)));
          for (int stream = 0; stream < STREAM_COUNT; stream++) {
            open(stream, result);
          }
          emitter.set(range, new Slot(CLOSED, 8));
          emitter.loopWhile(
              range.at(8).isNot(0),
              () -> {
                must(
                    STEP_DESCRIPTORS,
                    result,
                    Emitter.call(Sys.CLOSE_RANGE, range.at(0), range.at(8), Value.of(0)));
                emitter.add(range, 16);
              });
          emitter.note("no handler of the JVM's may run here; what is ignored stays ignored");
          emitter.set(signal, 1);
          emitter.loopWhile(
              signal.isLess(LAST_SIGNAL + 1),
              () -> {
                clearAction();
                emitter.system(Sys.RT_SIGACTION, signal, Value.of(0), ACTION, Value.of(SET_SIZE));
                emitter.when(
                    Emitter.both(
                        ACTION.at(Sys.ACTION_HANDLER).isNot(0),
                        ACTION.at(Sys.ACTION_HANDLER).isNot(Sys.SIG_IGN)),
                    () -> setDefault(signal));
                emitter.add(signal, 1);
              });
          maskSignals(new Place(MASK));
          must(
              STEP_EXEC,
              result,
              Emitter.call(
                  Sys.EXECVE, new Slot(PATH, 8), new Slot(ARGUMENTS, 8), new Slot(ENVIRONMENT, 8)));
        });
  }

  private void open(int stream, Slot result) {
    Slot file = new Slot(STREAMS + stream * STREAM_SIZE, 8);
    Slot flags = new Slot(STREAMS + stream * STREAM_SIZE + 8, 8);
    int step = STEP_STREAM + stream;
    emitter.when(
        file.isNot(0),
        () -> {
          must(
              step,
              result,
              Emitter.call(Sys.OPENAT, Value.of(Sys.AT_FDCWD), file, flags, Value.of(OPEN_MODE)));
          emitter.when(
              result.isNot(stream),
              () -> {
                Slot opened = new Slot(SCRATCH + 0x40, 8);
                emitter.set(opened, result);
                must(step, result, Emitter.call(Sys.DUP3, opened, Value.of(stream), Value.of(0)));
                emitter.system(Sys.CLOSE, opened);
              });
        });
  }
}
