package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.Turn;
import io.github.textpoke.apply.TurnSwitch;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * The code that a function's entry is led to where a {@link Turn} chooses what runs.
 *
 * <p>Assumes that it is entered by a jump, as the function itself would be, by any thread, by many
 * at once, and again from a signal handler; and that the stack has room for 96 bytes. Guarantees
 * that
 *
 * <ol>
 *   <li>all registers, the flags, and the stack from rsp upwards are as at the entry where it goes
 *       on, old or new;
 *   <li>each call reads the turn once, and goes by it, unless the turn is held: then it is read
 *       again until it is not;
 *   <li>a thread waits for a bounded number of turns of the loop, and then takes the hold back
 *       itself: nobody has to be alive for that. It takes no lock, and makes no system call but
 *       futex, to sleep. (It must not yield instead: where sched_yield moves a thread far ahead in
 *       the scheduler's time, as in Linux 6.18, who wakes up later is starved for minutes.)
 * </ol>
 *
 * <p>Immutable and thread-safe.
 *
 * @param bytes for exactly the address given
 * @param gate where its parts are, absolute
 */
record GateCode(CodeBytes bytes, TurnSwitch.Gate gate) {
  /** Bytes that one needs at most. */
  static final int SIZE = 384;

  /** Of the loop, with a sleep in each. */
  private static final int MOST_SLEEPS = 100;

  private static final int SLEEP_NANOS = 1_000_000;

  /** Of the loop without: a PAUSE is 40 to 140 cycles. */
  private static final int MOST_PAUSES = 1 << 19;

  private static final int FUTEX_WAIT_PRIVATE = 128;

  /** Pushed behind rcx and the flags, in this order; behind them a time, and the turns left. */
  private static final ImmutableList<Register> SAVED =
      ImmutableList.of(
          Register.RAX, Register.RDX, Register.RDI, Register.RSI, Register.R10, Register.R11);

  /** Bytes that are pushed where it waits. */
  private static final int WAITING_DEPTH = (2 + SAVED.size() + 3) * Long.BYTES;

  private static final Register VALUE = Register.RCX;

  /**
   * @param at absolute address where it will stand
   * @param turn absolute address of the word
   * @param old absolute address of what runs while the turn is old; within 2 GiB
   * @param replacement absolute address of what runs while it is new
   * @param yields whether who waits may call sched_yield, so that others come to run: a filter of
   *     the program's might kill it for that
   */
  static GateCode of(long at, long turn, long old, long replacement, boolean sleeps) {
    Assembler code = new Assembler();
    Label isOld = new Label();
    Label isNew = new Label();
    Label wait = new Label();
    Label held = new Label();
    Label expired = new Label();
    Label leaveOld = new Label();
    Label leaveNew = new Label();

    code.push(VALUE);
    read(code, turn);
    code.jumpIfRcxIsZero(isOld);
    code.address(VALUE, VALUE, -Turn.NEW);
    code.jumpIfRcxIsZero(isNew);

    code.pushFlags();
    SAVED.forEach(code::push);
    code.move(Register.RAX, SLEEP_NANOS);
    code.push(Register.RAX);
    code.move(Register.RAX, 0);
    code.push(Register.RAX);
    code.move(Register.RAX, sleeps ? MOST_SLEEPS : MOST_PAUSES);
    code.push(Register.RAX);

    code.place(wait);
    code.pause();
    read(code, turn);
    for (int value = 0; value <= (Turn.HELD_NEW | Turn.EXPIRED | Turn.COMMIT); value++) {
      if (value == Turn.HELD_OLD || value == Turn.HELD_NEW) {
        code.operate(Operation.CMP, VALUE, value);
        code.jump(Condition.EQUAL, held);
      } else if (Turn.isNew(value)) {
        code.operate(Operation.CMP, VALUE, value);
        code.jump(Condition.EQUAL, leaveNew);
      }
    }
    code.jump(leaveOld);
    code.place(held);
    code.load(Register.RAX, Register.RSP, 0, Long.BYTES);
    code.operate(Operation.SUB, Register.RAX, 1);
    code.store(Register.RSP, 0, Register.RAX, Long.BYTES);
    code.jump(Condition.EQUAL, expired);
    if (sleeps) {
      code.move(Register.RDI, turn);
      code.move(Register.RSI, FUTEX_WAIT_PRIVATE);
      code.move(Register.RDX, VALUE);
      code.address(Register.R10, Register.RSP, Long.BYTES);
      code.move(Register.RAX, Kernel.SYS_FUTEX);
      code.syscall();
    }
    code.jump(wait);
    code.place(expired);
    code.move(Register.RAX, VALUE);
    code.address(Register.RDX, VALUE, Turn.EXPIRED);
    code.move(Register.RDI, turn);
    code.compareAndSwap();
    code.jump(wait);
    int waited = code.size();

    code.place(leaveNew);
    leave(code);
    code.place(isNew);
    code.pop(VALUE);
    code.jumpFar(replacement);
    code.place(leaveOld);
    leave(code);
    code.place(isOld);
    code.pop(VALUE);
    CodeBytes most = CodeBytes.of(code.toByteArray());
    CodeBytes bytes = most.concat(Assembly.jmp(old).at(at + most.length(), Entry.JUMP_LENGTH));
    int start = code.offset(wait);
    return new GateCode(
        bytes.concat(CodeBytes.filled(SIZE - bytes.length(), X86Planner.INT3)),
        new TurnSwitch.Gate(
            new Extent(at, bytes.length()),
            new Extent(at + start, waited - start),
            WAITING_DEPTH,
            at + code.offset(leaveOld),
            at + code.offset(leaveNew)));
  }

  private static void read(Assembler code, long turn) {
    code.move(VALUE, turn);
    code.load(VALUE, VALUE, 0, Integer.BYTES);
  }

  private static void leave(Assembler code) {
    code.address(Register.RSP, Register.RSP, 3 * Long.BYTES);
    SAVED.reverse().forEach(code::pop);
    code.popFlags();
  }
}
