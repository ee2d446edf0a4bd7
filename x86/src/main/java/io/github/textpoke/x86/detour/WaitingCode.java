package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * Writes what bodies have in common in which calls wait until somebody outside has seen them. Their
 * data begins with three words: how many calls have come that wait; how many of them need not wait
 * any more; and whether somebody is there, 1, or nobody waits, 0.
 *
 * <p>A call waits for a bounded number of turns; the first that waits for so long has no other wait
 * after it. It takes no lock, and makes no system call but futex, to sleep. It needs 96 bytes of
 * stack behind the flags.
 */
final class WaitingCode {
  static final int VISITS = 0;
  static final int SEEN = 8;
  static final int ARMED = 16;

  /** Where the visit's number lies, from RSP, while a call waits. */
  static final int VISIT = 24;

  private static final int TURNS = 0;
  private static final int TIME = 8;
  private static final int LOCALS = 32;
  private static final int SLEEP_NANOS = 1_000_000;

  /** Pushed behind the flags, in this order; behind them the visit, a time, the turns left. */
  private static final ImmutableList<Register> SAVED =
      ImmutableList.of(
          Register.RAX,
          Register.RCX,
          Register.RDX,
          Register.RDI,
          Register.RSI,
          Register.R10,
          Register.R11);

  private final Assembler code;
  private final long data;
  private final Label expired = new Label();
  private final Label leave = new Label();
  private final Label restore = new Label();

  /**
   * @param data absolute address of the data, anywhere
   */
  WaitingCode(Assembler code, long data) {
    this.code = code;
    this.data = data;
  }

  /**
   * Saves what is changed, and counts the call, unless nobody waits. RDX: the data.
   *
   * @param turns that it waits at most
   */
  void begin(int turns) {
    SAVED.forEach(code::push);
    code.move(Register.RDX, data);
    code.load(Register.RAX, Register.RDX, ARMED, Long.BYTES);
    code.operate(Operation.CMP, Register.RAX, 0);
    code.jump(Condition.EQUAL, restore);
    code.move(Register.RAX, 1);
    code.exchangeAndAdd(Register.RDX, VISITS, Register.RAX);
    code.operate(Operation.ADD, Register.RAX, 1);
    code.push(Register.RAX);
    code.move(Register.RAX, SLEEP_NANOS);
    code.push(Register.RAX);
    code.move(Register.RAX, 0);
    code.push(Register.RAX);
    code.move(Register.RAX, turns);
    code.push(Register.RAX);
  }

  /**
   * Waits until all calls are seen but for so many before this one. Leaves RDX at the data.
   *
   * @param inVain where it goes on after the last turn; the data is in RDX then
   * @param operation FUTEX_WAIT, or FUTEX_WAIT_PRIVATE where no other process waits there
   * @param sleeps whether it may call futex
   */
  void await(int unseen, Label inVain, int operation, boolean sleeps) {
    Label look = new Label();
    Label over = new Label();
    code.place(look);
    code.pause();
    code.move(Register.RDX, data);
    code.load(Register.RCX, Register.RDX, SEEN, Long.BYTES);
    code.address(Register.RAX, Register.RCX, unseen);
    code.operate(Operation.CMP, Register.RAX, Register.RSP, VISIT);
    code.jump(Condition.NOT_LESS, over);
    code.load(Register.RAX, Register.RSP, TURNS, Long.BYTES);
    code.operate(Operation.SUB, Register.RAX, 1);
    code.store(Register.RSP, TURNS, Register.RAX, Long.BYTES);
    code.jump(Condition.EQUAL, inVain);
    if (sleeps) {
      // Its low half is compared. Nobody wakes it: who writes there is outside of the process.
      code.address(Register.RDI, Register.RDX, SEEN);
      code.move(Register.RSI, operation);
      code.move(Register.RDX, Register.RCX);
      code.address(Register.R10, Register.RSP, TIME);
      code.move(Register.RAX, Kernel.SYS_FUTEX);
      code.syscall();
    }
    code.jump(look);
    code.place(over);
  }

  /** Where who has waited in vain has all go on from then on. */
  Label expired() {
    return expired;
  }

  /** Where a register that was saved lies, from RSP, while a call waits. */
  static int offset(Register saved) {
    return LOCALS + (SAVED.size() - 1 - SAVED.indexOf(saved)) * Long.BYTES;
  }

  /** Restores what was saved. */
  void end() {
    code.jump(leave);
    code.place(expired);
    code.move(Register.RAX, 0);
    code.store(Register.RDX, ARMED, Register.RAX, Long.BYTES);
    code.place(leave);
    code.address(Register.RSP, Register.RSP, LOCALS);
    code.place(restore);
    SAVED.reverse().forEach(code::pop);
  }

  /**
   * The code, and behind it the way to the original.
   *
   * @param at absolute address where it will stand
   * @param original absolute address, within 2 GiB
   * @param size bytes of all
   */
  static CodeBytes leadingTo(long original, Assembler code, long at, int size) {
    CodeBytes most = CodeBytes.of(code.toByteArray());
    CodeBytes bytes = most.concat(Assembly.jmp(original).at(at + most.length(), Entry.JUMP_LENGTH));
    return bytes.concat(CodeBytes.filled(size - bytes.length(), X86Planner.INT3));
  }
}
