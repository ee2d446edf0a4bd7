package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.BorrowLayout.CLONE_FLAGS;
import static io.github.textpoke.apply.internal.BorrowLayout.CODE;
import static io.github.textpoke.apply.internal.BorrowLayout.CODE_BYTES;
import static io.github.textpoke.apply.internal.BorrowLayout.GADGET;
import static io.github.textpoke.apply.internal.BorrowLayout.HELPER;
import static io.github.textpoke.apply.internal.BorrowLayout.LEDGER_SIZE;
import static io.github.textpoke.apply.internal.BorrowLayout.NAMES;
import static io.github.textpoke.apply.internal.BorrowLayout.NAME_SIZE;
import static io.github.textpoke.apply.internal.BorrowLayout.PID;
import static io.github.textpoke.apply.internal.BorrowLayout.REPEATABLE;
import static io.github.textpoke.apply.internal.BorrowLayout.RESULT;
import static io.github.textpoke.apply.internal.BorrowLayout.SCRATCH;
import static io.github.textpoke.apply.internal.BorrowLayout.SESSION;
import static io.github.textpoke.apply.internal.BorrowLayout.SESSION_BYTES;
import static io.github.textpoke.apply.internal.BorrowLayout.SESSION_FD;
import static io.github.textpoke.apply.internal.BorrowLayout.SESSION_SIZE;
import static io.github.textpoke.apply.internal.BorrowLayout.STACK;
import static io.github.textpoke.apply.internal.BorrowLayout.STALE;
import static io.github.textpoke.apply.internal.BorrowLayout.STEP;
import static io.github.textpoke.apply.internal.BorrowLayout.THREAD;
import static io.github.textpoke.apply.internal.BorrowLayout.UNFIT;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Signed;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * The borrower: a process that shares this JVM's memory, but not its fate. It borrows one thread of
 * the target for the clone of the helper, has the helper map what it needs, and lets both go. While
 * a thread stands where we have put it, its tracer must not die; a JVM may be killed, or pause.
 */
final class BorrowTask {
  private static final Place REGISTERS = new Place(SCRATCH);
  private static final int REGISTERS_SIZE = 27 * 8;
  private static final Place ORIGINAL = new Place(SCRATCH + 0x100);
  private static final int SIGINFO = SCRATCH + 0x200;
  private static final int SI_CODE = 8;
  private static final int SI_TKILL = -6;
  private static final int PEEK = SCRATCH + 0x280;
  private static final int PEEKED = SCRATCH + 0x300;
  private static final int PEEK_COUNT = 8;
  private static final int SIGINFO_SIZE = 128;

  private static final Slot STATUS = new Slot(SCRATCH + 0x700, 4);
  private static final Slot WORD = new Slot(SCRATCH + 0x708, 8);
  private static final Slot MASK = new Slot(SCRATCH + 0x710, 8);
  private static final Slot AWAITED = new Slot(SCRATCH + 0x7c0, 8);
  private static final Slot LOOK_SECONDS = new Slot(SCRATCH + 0x7c8, 8);
  private static final Slot LOOK = new Slot(SCRATCH + 0x7d0, 8);
  private static final Slot SET = new Slot(SCRATCH + 0x718, 8);
  private static final Place RSEQ = new Place(SCRATCH + 0x720);
  private static final int RSEQ_SIZE = 24;
  private static final int RSEQ_CS_OFFSET = 8;
  private static final Slot SEQUENCE = new Slot(SCRATCH + 0x740, 8);
  private static final Place DESCRIPTOR = new Place(SCRATCH + 0x750);
  private static final int DESCRIPTOR_SIZE = 32;
  private static final Place ACTION = new Place(SCRATCH + 0x780);
  private static final int PROC_SCRATCH = SCRATCH + 0x800;
  private static final Place ALL_PROCESSORS = new Place(SCRATCH + 0x1a00);
  private static final int ALL_PROCESSORS_SIZE = 1024;
  private static final int THREAD_SCRATCH = SCRATCH + 0x1e00;
  private static final int SET_SIZE = 8;
  private static final long ALL_BUT_SIGTRAP = ~(1L << Sys.SIGTRAP - 1);
  private static final int USER_CODE_64 = 0x33;
  private static final int SYSCALL_LENGTH = 2;
  private static final int SYSCALL_BYTES = 0x050f;
  private static final int CLEAR_FLAGS = ~(1 << 8 | 1 << 10);
  private static final int STOPPED = 0x7f;
  private static final int STAT_STATE = 3;
  private static final int PAGE = 4096;
  private static final int OPTIONS = 1 << Sys.PTRACE_EVENT_CLONE | 1 << Sys.PTRACE_EVENT_EXEC;

  private final Emitter emitter;
  private final ProcFiles files;
  private final ThreadFiles threadFiles;
  private final Routine descriptor;
  private final Slot thread = new Slot(THREAD, 8);
  private final Slot helper = new Slot(HELPER, 8);
  private final Slot memory;
  private final Slot born;
  private final Slot groupStopped;

  /** SIGTRAPs of the program's that came to the thread while we stepped it. */
  private final Slot owedToThread;

  private final Slot owedToProcess;
  private final Slot scratch;
  private final Slot code = new Slot(CODE, 8);
  private final Routine await;
  private final Routine inject;
  private final Routine isTrapQueued;
  private final Routine borrow;
  private final Routine prepare;

  private BorrowTask(Emitter emitter, Assembler assembler) {
    this.emitter = emitter;
    files = new ProcFiles(emitter, PROC_SCRATCH);
    threadFiles = new ThreadFiles(emitter, assembler, files, THREAD_SCRATCH);
    descriptor = files.descriptor();
    memory = emitter.variable();
    born = emitter.variable();
    groupStopped = emitter.variable();
    owedToThread = emitter.variable();
    owedToProcess = emitter.variable();
    scratch = emitter.variable();
    await = await(emitter.variable());
    isTrapQueued = isTrapQueued(emitter.variable(), emitter.variable(), emitter.variable());
    inject = inject();
    borrow = borrow();
    prepare = prepare();
  }

  /**
   * The code. It is called as a C function with the address of its memory (BorrowLayout), starts
   * the borrower and returns its process id, or the negated errno.
   */
  static byte[] emit(Assembler assembler) {
    Emitter emitter =
        new Emitter(
            assembler,
            io.github.textpoke.apply.internal.BorrowLayout.VARIABLES,
            io.github.textpoke.apply.internal.BorrowLayout.VARIABLES_END);
    Label start = new Label();
    assembler.note("entry: called by the JVM");
    assembler.jump(start);
    BorrowTask task = new BorrowTask(emitter, assembler);
    Routine main = task.main();
    assembler.note("start: clone the borrower, which goes on with a stack of its own");
    assembler.place(start);
    assembler.push(Emitter.BASE);
    assembler.move(Emitter.BASE, Register.RDI);
    emitter.compute(
        Emitter.call(
            Sys.CLONE,
            Value.of(Sys.CLONE_VM),
            new Place(STACK),
            Value.of(0),
            Value.of(0),
            Value.of(0)));
    Label parent = new Label();
    assembler.operate(Operation.CMP, Register.RAX, 0);
    assembler.jump(Condition.NOT_EQUAL, parent);
    assembler.call(main.entry());
    assembler.undefined();
    assembler.place(parent);
    assembler.pop(Emitter.BASE);
    assembler.ret();
    return assembler.toByteArray();
  }

  private void ptrace(int request, Value tid, Value address, Value data) {
    emitter.compute(answer(request, tid, address, data));
  }

  private static Value answer(int request, Value tid, Value address, Value data) {
    return Emitter.call(Sys.PTRACE, Value.of(request), tid, address, data);
  }

  private static Slot register(Place registers, int offset) {
    return new Slot(registers.offset() + offset, 8);
  }

  private Routine main() {
    Slot result = new Slot(RESULT, 8);
    return emitter.routine(
        "borrower",
        "the borrower",
        ImmutableList.of(),
        () -> {
          emitter.note("no signal, and no handler of the JVM's, concerns us");
          emitter.set(SET, -1);
          emitter.system(
              Sys.RT_SIGPROCMASK,
              Value.of(Sys.SIG_SETMASK),
              SET.address(),
              Value.of(0),
              Value.of(SET_SIZE));
          for (int offset = 0; offset < 32; offset += 8) {
            emitter.store(ACTION, offset, 8, Value.of(0));
          }
          emitter.system(
              Sys.RT_SIGACTION, Value.of(Sys.SIGSEGV), ACTION, Value.of(0), Value.of(SET_SIZE));
          emitter.system(
              Sys.RT_SIGACTION, Value.of(Sys.SIGCHLD), ACTION, Value.of(0), Value.of(SET_SIZE));
          emitter.note("no directory is open: paths begin at the root");
          emitter.set(files.directory, -1);
          emitter.set(new Slot(STEP, 8), 0);
          emitter.set(helper, 0);
          emitter.set(owedToThread, 0);
          emitter.set(owedToProcess, 0);
          emitter.set(result, borrow.of());
          emitter.when(
              result.is(0),
              () -> {
                emitter.set(result, prepare.of());
                emitter.when(
                    result.isNot(0),
                    () -> {
                      emitter.note("it did not work out: the helper ends");
                      setCall(Sys.EXIT, ImmutableList.of());
                      ptrace(Sys.PTRACE_SETREGS, helper, Value.of(0), REGISTERS);
                      ptrace(Sys.PTRACE_DETACH, helper, Value.of(0), Value.of(0));
                    });
              });
          emitter.when(
              owedToThread.isNot(0),
              () ->
                  emitter.system(
                      Sys.TGKILL, new Slot(PID, 8), owedToThread, Value.of(Sys.SIGTRAP)));
          emitter.when(
              owedToProcess.isNot(0),
              () -> emitter.system(Sys.KILL, new Slot(PID, 8), Value.of(Sys.SIGTRAP)));
          emitter.note("what we still trace, the kernel releases when we end");
          emitter.system(Sys.EXIT_GROUP, Value.of(0));
        });
  }

  /**
   * Not by a wait that blocks: an execve of another thread takes the id that we wait for away, and
   * the kernel wakes nobody who waits for that id (kernel/exit.c, pid_child_should_wake); and the
   * main thread's end is not reported while another thread, that we trace, waits to be reaped.
   */
  private Routine await(Slot tid) {
    Slot answer = emitter.variable();
    Slot chances = emitter.variable();
    return emitter.routine(
        "await",
        "wait until a thread stops or ends; 1: it has stopped",
        ImmutableList.of(tid),
        () -> {
          emitter.set(chances, 3);
          emitter.loop(
              () -> {
                emitter.set(
                    answer,
                    new Signed(
                        Emitter.call(
                            Sys.WAIT4,
                            tid,
                            STATUS.address(),
                            Value.of(Sys.WNOHANG | Sys.WALL),
                            Value.of(0))));
                emitter.when(answer.isLess(0), () -> emitter.give(0));
                emitter.when(
                    answer.isNot(0),
                    () -> {
                      emitter.when(STATUS.and(0xff).is(STOPPED), () -> emitter.give(1));
                      emitter.give(0);
                    });
                emitter.note("a stop sends SIGCHLD, which is blocked, so kept");
                emitter.set(AWAITED, 1L << Sys.SIGCHLD - 1);
                emitter.set(LOOK_SECONDS, 0);
                emitter.set(LOOK, 1_000_000);
                emitter.set(
                    answer,
                    Emitter.call(
                        Sys.RT_SIGTIMEDWAIT,
                        AWAITED.address(),
                        Value.of(0),
                        LOOK_SECONDS.address(),
                        Value.of(SET_SIZE)));
                emitter.when(
                    answer.isLess(0),
                    () -> {
                      emitter.note("a main thread that is dead is reported last, or never");
                      emitter.when(
                          Emitter.call(Sys.TGKILL, new Slot(PID, 8), tid, Value.of(0))
                              .is(-Sys.ESRCH),
                          () -> emitter.give(0));
                      emitter.set(answer, 0);
                      emitter.when(
                          threadFiles.read.of(tid, ProcFiles.word("/stat")).isNot(0),
                          () ->
                              emitter.set(
                                  answer, threadFiles.field.of(Value.of(STAT_STATE)).byteAt(0)));
                      emitter.when(
                          Emitter.either(answer.is('Z'), answer.is('X')),
                          () -> {
                            emitter.set(chances, chances.minus(1));
                            emitter.when(chances.is(0), () -> emitter.give(0));
                          });
                    });
              });
        });
  }

  private static Value event() {
    return STATUS.shiftedRight(16);
  }

  private static Value signal() {
    return STATUS.shiftedRight(8).and(0xff);
  }

  private Routine isTrapQueued(Slot tid, Slot count, Slot index) {
    Slot from = new Slot(PEEK, 8);
    return emitter.routine(
        "isTrapQueued",
        "whether the SIGTRAP of a breakpoint is queued",
        ImmutableList.of(tid),
        () -> {
          emitter.set(from, 0);
          emitter.set(new Slot(PEEK + 8, 8), (long) PEEK_COUNT << Integer.SIZE);
          emitter.loop(
              () -> {
                emitter.set(
                    count, answer(Sys.PTRACE_PEEKSIGINFO, tid, new Place(PEEK), new Place(PEEKED)));
                emitter.when(count.isLess(1), () -> emitter.give(0));
                emitter.times(
                    index,
                    count,
                    () -> {
                      Value info = new Place(PEEKED).plus(index.times(SIGINFO_SIZE));
                      emitter.when(
                          Emitter.both(
                              info.intAt(0).is(Sys.SIGTRAP), info.intAt(SI_CODE).is(Sys.SI_KERNEL)),
                          () -> emitter.give(1));
                    });
                emitter.set(from, from.plus(count));
              });
        });
  }

  /** Sets a system call up in the registers; the other ones are as they were. */
  private void setCall(int number, ImmutableList<Value> arguments) {
    int[] places = {112, 104, 96, 56, 72, 64};
    emitter.set(register(REGISTERS, 128), new Slot(GADGET, 8));
    emitter.set(register(REGISTERS, 80), number);
    emitter.set(register(REGISTERS, 120), -1);
    emitter.set(register(REGISTERS, 144), register(REGISTERS, 144).and(CLEAR_FLAGS));
    for (int i = 0; i < places.length; i++) {
      Slot place = register(REGISTERS, places[i]);
      if (i < arguments.size()) {
        emitter.set(place, arguments.get(i));
      } else {
        emitter.set(place, 0);
      }
    }
  }

  /** As Injection does it. */
  private Routine inject() {
    Slot tid = emitter.variable();
    Slot passed = emitter.variable();
    return emitter.routine(
        "inject",
        "run the system call that the registers set up, by one step; its result",
        ImmutableList.of(tid),
        () -> {
          emitter.set(passed, 0);
          emitter.set(born, 0);
          emitter.set(groupStopped, 0);
          ptrace(Sys.PTRACE_SETREGS, tid, Value.of(0), REGISTERS);
          emitter.loop(
              () -> {
                emitter.when(
                    answer(Sys.PTRACE_SINGLESTEP, tid, Value.of(0), passed).isLess(0),
                    () -> emitter.give(-Sys.ESRCH));
                emitter.when(await.of(tid).is(0), () -> emitter.give(-Sys.ESRCH));
                emitter.set(passed, 0);
                emitter.when(
                    event().is(Sys.PTRACE_EVENT_CLONE),
                    () -> {
                      ptrace(Sys.PTRACE_GETEVENTMSG, tid, Value.of(0), WORD.address());
                      emitter.set(born, WORD);
                    });
                emitter.when(
                    Emitter.both(event().is(Sys.PTRACE_EVENT_STOP), signal().isNot(Sys.SIGTRAP)),
                    () -> emitter.set(groupStopped, 1));
                emitter.when(event().is(0), () -> stepped(tid, passed));
              });
        });
  }

  private void stepped(Slot tid, Slot passed) {
    emitter.when(
        signal().isNot(Sys.SIGTRAP),
        () -> {
          emitter.note("all that can be blocked is: SIGSTOP is left, and goes on its way");
          emitter.set(passed, signal());
        },
        () -> {
          emitter.note("an execve or exit of the program may have killed it meanwhile");
          emitter.when(
              answer(Sys.PTRACE_GETSIGINFO, tid, Value.of(0), new Place(SIGINFO)).isNot(0),
              () -> emitter.give(-Sys.ESRCH));
          emitter.when(
              new Signed(new Slot(SIGINFO + SI_CODE, 4)).isLess(1),
              () -> {
                emitter.note("sent by somebody: given back when we are done, or we met it again");
                emitter.when(
                    new Signed(new Slot(SIGINFO + SI_CODE, 4)).is(SI_TKILL),
                    () -> emitter.set(owedToThread, tid),
                    () -> emitter.set(owedToProcess, 1));
              },
              () -> {
                emitter.when(
                    answer(Sys.PTRACE_GETREGS, tid, Value.of(0), REGISTERS).isNot(0),
                    () -> emitter.give(-Sys.ESRCH));
                emitter.when(
                    register(REGISTERS, 128).is(new Slot(GADGET, 8).plus(SYSCALL_LENGTH)),
                    () -> emitter.give(register(REGISTERS, 80)));
              });
        });
  }

  private void copyRegisters(Place from, Place to) {
    for (int offset = 0; offset < REGISTERS_SIZE; offset += 8) {
      emitter.set(register(to, offset), register(from, offset));
    }
  }

  private Routine borrow() {
    Slot index = emitter.variable();
    Slot result = emitter.variable();
    Routine fits = fits();
    return emitter.routine(
        "borrow",
        "stop one thread, clone the helper on it, and put it back as it was",
        ImmutableList.of(),
        () -> {
          emitter.when(
              answer(Sys.PTRACE_SEIZE, thread, Value.of(0), Value.of(OPTIONS)).isNot(0),
              () -> emitter.give(UNFIT));
          emitter.run(files.path, thread, ProcFiles.word("/mem"));
          emitter.set(memory, files.open.of(Value.of(Sys.O_RDWR | Sys.O_CLOEXEC)));
          emitter.when(memory.isLess(0), () -> emitter.give(memory));
          ptrace(Sys.PTRACE_INTERRUPT, thread, Value.of(0), Value.of(0));
          emitter.loop(
              () -> {
                emitter.when(await.of(thread).is(0), () -> emitter.give(UNFIT));
                emitter.when(event().is(Sys.PTRACE_EVENT_STOP), emitter::leave);
                emitter.note("what we have opened and were told is of the memory before");
                emitter.when(
                    event().is(Sys.PTRACE_EVENT_EXEC),
                    () -> {
                      ptrace(Sys.PTRACE_DETACH, thread, Value.of(0), Value.of(0));
                      emitter.give(STALE);
                    });
                emitter.note("that stop has taken our request back");
                emitter.set(index, 0);
                emitter.when(event().is(0), () -> emitter.set(index, signal()));
                ptrace(Sys.PTRACE_INTERRUPT, thread, Value.of(0), Value.of(0));
                ptrace(Sys.PTRACE_CONT, thread, Value.of(0), index);
              });
          emitter.note("an execve before we came has given it other memory than the JVM has read");
          emitter.set(WORD, 0);
          emitter.system(Sys.PREAD64, memory, WORD.address(), Value.of(2), new Slot(GADGET, 8));
          emitter.when(WORD.isNot(SYSCALL_BYTES), () -> emitter.give(STALE));
          emitter.when(
              code.isNot(0),
              () -> {
                emitter.set(WORD, 0);
                emitter.system(Sys.PREAD64, memory, WORD.address(), Value.of(8), code);
                emitter.when(WORD.isNot(new Slot(CODE_BYTES, 8).at(0)), () -> emitter.give(STALE));
              });
          emitter.when(
              fits.of().is(0),
              () -> {
                ptrace(Sys.PTRACE_DETACH, thread, Value.of(0), Value.of(0));
                emitter.give(UNFIT);
              });
          ptrace(Sys.PTRACE_GETSIGMASK, thread, Value.of(SET_SIZE), MASK.address());
          emitter.set(SET, ALL_BUT_SIGTRAP);
          ptrace(Sys.PTRACE_SETSIGMASK, thread, Value.of(SET_SIZE), SET.address());
          emitter.loop(
              () -> {
                copyRegisters(ORIGINAL, REGISTERS);
                setCall(Sys.CLONE, ImmutableList.of(new Slot(CLONE_FLAGS, 8)));
                emitter.set(result, inject.of(thread));
                emitter.note("a stop that is on its way makes the kernel put a clone off");
                emitter.when(result.isNot(-Sys.ERESTARTNOINTR), emitter::leave);
              });
          emitter.set(helper, born);
          emitter.note("it is not to wait for processors or priorities of the borrowed thread's");
          emitter.set(WORD, 0);
          emitter.system(Sys.SCHED_SETSCHEDULER, helper, Value.of(Sys.SCHED_OTHER), WORD.address());
          for (int offset = 0; offset < ALL_PROCESSORS_SIZE; offset += 8) {
            emitter.store(ALL_PROCESSORS, offset, 8, Value.of(-1));
          }
          emitter.system(
              Sys.SCHED_SETAFFINITY, helper, Value.of(ALL_PROCESSORS_SIZE), ALL_PROCESSORS);
          emitter.note("as it was, and free");
          ptrace(Sys.PTRACE_SETREGS, thread, Value.of(0), ORIGINAL);
          ptrace(Sys.PTRACE_SETSIGMASK, thread, Value.of(SET_SIZE), MASK.address());
          ptrace(Sys.PTRACE_DETACH, thread, Value.of(0), Value.of(0));
          emitter.when(helper.is(0), () -> emitter.give(result));
          emitter.when(await.of(helper).is(0), () -> emitter.give(-Sys.ESRCH));
          emitter.set(SET, ALL_BUT_SIGTRAP);
          ptrace(Sys.PTRACE_SETSIGMASK, helper, Value.of(SET_SIZE), SET.address());
          ptrace(Sys.PTRACE_GETREGS, helper, Value.of(0), REGISTERS);
        });
  }

  private Routine fits() {
    Slot at = emitter.variable();
    Slot call = emitter.variable();
    Slot rip = register(ORIGINAL, 128);
    return emitter.routine(
        "fits",
        "whether the stopped thread can be borrowed",
        ImmutableList.of(),
        () -> {
          emitter.when(
              answer(Sys.PTRACE_GETREGS, thread, Value.of(0), ORIGINAL).isLess(0),
              () -> emitter.give(0));
          emitter.when(register(ORIGINAL, 136).isNot(USER_CODE_64), () -> emitter.give(0));
          emitter.when(isTrapQueued.of(thread).isNot(0), () -> emitter.give(0));
          emitter.note("a filter of its own might kill it for our clone");
          emitter.when(
              threadFiles.read.of(thread, ProcFiles.word("/status")).is(0), () -> emitter.give(0));
          emitter.set(at, threadFiles.find.of(ProcFiles.word("eccomp:\t")));
          emitter.when(
              at.isNot(0),
              () -> emitter.when(threadFiles.number.of(at).isNot(0), () -> emitter.give(0)));
          emitter.note("a call that would return EINTR because of us is issued again");
          emitter.when(
              register(ORIGINAL, 80).is(-Sys.EINTR),
              () -> {
                emitter.set(at, new Place(REPEATABLE));
                emitter.loop(
                    () -> {
                      emitter.set(call, at.shortAt(0));
                      emitter.when(call.is(SessionLayout.NO_CALL), emitter::leave);
                      emitter.when(
                          call.is(register(ORIGINAL, 120)),
                          () -> {
                            emitter.set(register(ORIGINAL, 80), -Sys.ERESTARTNOHAND);
                            ptrace(Sys.PTRACE_SETREGS, thread, Value.of(0), ORIGINAL);
                            emitter.leave();
                          });
                      emitter.add(at, 2);
                    });
              });
          emitter.note("not inside a restartable sequence (kernel/rseq.c)");
          emitter.when(
              answer(Sys.PTRACE_GET_RSEQ_CONFIGURATION, thread, Value.of(RSEQ_SIZE), RSEQ)
                  .isLess(0),
              () -> emitter.give(1));
          emitter.when(RSEQ.at(0).is(0), () -> emitter.give(1));
          emitter.set(SEQUENCE, 0);
          emitter.system(
              Sys.PREAD64,
              memory,
              SEQUENCE.address(),
              Value.of(8),
              RSEQ.at(0).plus(RSEQ_CS_OFFSET));
          emitter.when(SEQUENCE.is(0), () -> emitter.give(1));
          emitter.when(
              Emitter.call(Sys.PREAD64, memory, DESCRIPTOR, Value.of(DESCRIPTOR_SIZE), SEQUENCE)
                  .isNot(DESCRIPTOR_SIZE),
              () -> emitter.give(0));
          emitter.when(
              rip.minus(DESCRIPTOR.at(8)).isBelow(DESCRIPTOR.at(16)), () -> emitter.give(0));
          emitter.give(1);
        });
  }

  // ---------------------------------------------------------------- the helper's own memory

  /** Has the helper make a call; a failure ends the routine. */
  private void helperCall(Slot result, int step, int number, Value... arguments) {
    emitter.set(new Slot(STEP, 8), step);
    setCall(number, ImmutableList.copyOf(arguments));
    emitter.set(result, inject.of(helper));
    emitter.when(
        Emitter.both(result.isLess(0), result.isGreater(-PAGE)), () -> emitter.give(result));
  }

  private Routine prepare() {
    Slot result = emitter.variable();
    Slot fd = emitter.variable();
    Slot ours = emitter.variable();
    Slot session = new Slot(SESSION, 8);
    return emitter.routine(
        "prepare",
        "map code, ledger and the session's memory, and let the helper go; 0, or an errno",
        ImmutableList.of(),
        () -> {
          emitter.note("a table of files of its own, and empty: no socket is held open");
          helperCall(
              result,
              1,
              Sys.CLOSE_RANGE,
              Value.of(0),
              Value.of(0xffffffffL),
              Value.of(Sys.CLOSE_RANGE_UNSHARE));
          helperCall(
              scratch,
              2,
              Sys.MMAP,
              Value.of(0),
              Value.of(PAGE),
              Value.of(Sys.PROT_READ | Sys.PROT_WRITE),
              Value.of(Sys.MAP_PRIVATE | Sys.MAP_ANONYMOUS),
              Value.of(-1));
          emitter.when(
              code.is(0),
              () -> {
                emitter.note("the code: never writable and executable at once");
                file(fd, ours, result, 3, 0);
                whole(
                    ours,
                    result,
                    new Slot(CODE_BYTES, 8),
                    new Slot(CODE_BYTES + 8, 8),
                    Value.of(0));
                emitter.system(Sys.CLOSE, ours);
                helperCall(
                    code,
                    4,
                    Sys.MMAP,
                    Value.of(0),
                    new Slot(CODE_BYTES + 8, 8),
                    Value.of(Sys.PROT_READ | Sys.PROT_EXEC),
                    Value.of(Sys.MAP_PRIVATE),
                    fd);
                helperCall(result, 5, Sys.CLOSE, fd);
              });
          emitter.when(
              new Slot(LEDGER_SIZE, 8).isNot(0),
              () -> {
                file(fd, ours, result, 6, 1);
                resize(ours, result, new Slot(LEDGER_SIZE, 8));
                emitter.system(Sys.CLOSE, ours);
                helperCall(
                    result,
                    7,
                    Sys.MMAP,
                    Value.of(0),
                    new Slot(LEDGER_SIZE, 8),
                    Value.of(Sys.PROT_READ | Sys.PROT_WRITE),
                    Value.of(Sys.MAP_PRIVATE),
                    fd);
                helperCall(result, 8, Sys.CLOSE, fd);
              });
          emitter.note("the session: it stays open in the helper until the JVM has mapped it");
          file(fd, ours, result, 9, 2);
          emitter.set(new Slot(SESSION_FD, 8), fd);
          resize(ours, result, new Slot(SESSION_SIZE, 8));
          whole(
              ours,
              result,
              new Slot(SESSION_BYTES, 8),
              new Slot(SESSION_BYTES + 8, 8),
              Value.of(0));
          helperCall(result, 14, Sys.GETPID);
          emitter.set(WORD, result);
          whole(ours, result, WORD.address(), Value.of(8), Value.of(SessionLayout.TARGET));
          helperCall(result, 10, Sys.GETTID);
          emitter.set(WORD, result);
          whole(ours, result, WORD.address(), Value.of(8), Value.of(SessionLayout.HELPER));
          emitter.system(Sys.CLOSE, ours);
          helperCall(
              session,
              11,
              Sys.MMAP,
              Value.of(0),
              new Slot(SESSION_SIZE, 8),
              Value.of(Sys.PROT_READ | Sys.PROT_WRITE),
              Value.of(Sys.MAP_SHARED),
              fd);
          emitter.note("a child gets no session: it has neither helper nor poker");
          helperCall(
              result,
              12,
              Sys.MADVISE,
              session,
              new Slot(SESSION_SIZE, 8),
              Value.of(Sys.MADV_DONTFORK));
          helperCall(result, 13, Sys.MUNMAP, scratch, Value.of(PAGE));
          emitter.note("from here on it runs by itself");
          emitter.set(register(REGISTERS, 128), code);
          emitter.set(register(REGISTERS, 152), session.plus(SessionLayout.HELPER_STACK));
          emitter.set(register(REGISTERS, 40), session);
          emitter.set(register(REGISTERS, 120), -1);
          ptrace(Sys.PTRACE_SETREGS, helper, Value.of(0), REGISTERS);
          emitter.set(SET, -1);
          ptrace(Sys.PTRACE_SETSIGMASK, helper, Value.of(SET_SIZE), SET.address());
          ptrace(Sys.PTRACE_DETACH, helper, Value.of(0), Value.of(0));
        });
  }

  /** Writes to a file of the helper's, whose memory would not be there: it would die of SIGBUS. */
  private void whole(Slot ours, Slot result, Value from, Value length, Value at) {
    emitter.set(result, Emitter.call(Sys.PWRITE64, ours, from, length, at));
    emitter.when(result.isLess(0), () -> emitter.give(result));
    emitter.when(result.isNot(length), () -> emitter.give(-Sys.EFBIG));
  }

  private void resize(Slot ours, Slot result, Value size) {
    emitter.set(result, Emitter.call(Sys.FTRUNCATE, ours, size));
    emitter.when(result.isLess(0), () -> emitter.give(result));
  }

  /** A new file in the helper, and our own descriptor of it. */
  private void file(Slot fd, Slot ours, Slot result, int step, int name) {
    emitter.system(
        Sys.PWRITE64, memory, new Place(NAMES + name * NAME_SIZE), Value.of(NAME_SIZE), scratch);
    helperCall(fd, step, Sys.MEMFD_CREATE, scratch, Value.of(Sys.MFD_CLOEXEC));
    emitter.run(descriptor, helper, fd);
    emitter.set(ours, files.open.of(Value.of(Sys.O_RDWR | Sys.O_CLOEXEC)));
    emitter.when(ours.isLess(0), () -> emitter.give(ours));
  }
}
