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
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The body of a detour in which calls wait until somebody outside has seen them; see {@link
 * HeldCalls}. It assumes what {@link GateCode} does, with 112 bytes of stack, and guarantees that
 *
 * <ol>
 *   <li>all registers, the flags, and the stack from rsp upwards are as at the entry where it goes
 *       on to the original;
 *   <li>a call whose first argument is not 0 only compares it;
 *   <li>a call waits for a bounded number of turns of the loop; the first that waits for so long
 *       has no other wait after it, unless somebody says that he is there again. It takes no lock,
 *       and makes no system call but futex, to sleep.
 * </ol>
 *
 * <p>Its data, of one cache line, by eight bytes:
 *
 * <pre>
 *   0  visits  how many calls have come that wait
 *   8  seen    how many of them need not wait any more
 *  16  armed   1: somebody is there; 0: nobody waits
 * </pre>
 */
final class HoldingBody {
  static final int VISITS = 0;
  static final int SEEN = 8;
  static final int ARMED = 16;

  /** Bytes of the data. */
  static final int DATA_SIZE = 64;

  /** Bytes of the code, at most. */
  static final int SIZE = 256;

  /**
   * Of the loop, with a sleep in each: less than a second. A refresh takes some ten milliseconds,
   * and a quarter of a second was seen where ten threads were ready to run for each processor.
   */
  private static final int MOST_SLEEPS = 600;

  private static final int SLEEP_NANOS = 1_000_000;

  /** Of the loop without: a PAUSE is 40 to 140 cycles. */
  private static final int MOST_PAUSES = 1 << 24;

  private static final int FUTEX_WAIT_PRIVATE = 128;

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

  private static final int TURNS = 0;
  private static final int TIME = 8;
  private static final int VISIT = 24;
  private static final int LOCALS = 32;

  private HoldingBody() {}

  /** The data before the first call. */
  static CodeBytes data() {
    return CodeBytes.of(
        ByteBuffer.allocate(DATA_SIZE)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(ARMED, HeldCalls.IS_ARMED)
            .array());
  }

  /**
   * The code.
   *
   * @param at absolute address where it will stand
   * @param data absolute address of its data
   * @param original absolute address of what runs afterwards; within 2 GiB
   * @param sleeps whether who waits may call futex: a filter of the program's might kill it for
   *     that
   */
  static CodeBytes code(long at, long data, long original, boolean sleeps) {
    Assembler code = new Assembler();
    Label wait = new Label();
    Label expired = new Label();
    Label leave = new Label();
    Label restore = new Label();
    Label goOn = new Label();

    code.pushFlags();
    code.operate(Operation.CMP, Register.RDI, 0);
    code.jump(Condition.NOT_EQUAL, goOn);
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
    code.move(Register.RAX, sleeps ? MOST_SLEEPS : MOST_PAUSES);
    code.push(Register.RAX);

    code.place(wait);
    code.pause();
    code.move(Register.RDX, data);
    code.load(Register.RCX, Register.RDX, SEEN, Long.BYTES);
    code.operate(Operation.CMP, Register.RCX, Register.RSP, VISIT);
    code.jump(Condition.NOT_LESS, leave);
    code.load(Register.RAX, Register.RSP, TURNS, Long.BYTES);
    code.operate(Operation.SUB, Register.RAX, 1);
    code.store(Register.RSP, TURNS, Register.RAX, Long.BYTES);
    code.jump(Condition.EQUAL, expired);
    if (sleeps) {
      // Its low half is compared. Nobody wakes it: who writes there is outside of the process.
      code.address(Register.RDI, Register.RDX, SEEN);
      code.move(Register.RSI, FUTEX_WAIT_PRIVATE);
      code.move(Register.RDX, Register.RCX);
      code.address(Register.R10, Register.RSP, TIME);
      code.move(Register.RAX, Kernel.SYS_FUTEX);
      code.syscall();
    }
    code.jump(wait);

    code.place(expired);
    code.move(Register.RAX, 0);
    code.store(Register.RDX, ARMED, Register.RAX, Long.BYTES);
    code.place(leave);
    code.address(Register.RSP, Register.RSP, LOCALS);
    code.place(restore);
    SAVED.reverse().forEach(code::pop);
    code.place(goOn);
    code.popFlags();
    CodeBytes most = CodeBytes.of(code.toByteArray());
    CodeBytes bytes = most.concat(Assembly.jmp(original).at(at + most.length(), Entry.JUMP_LENGTH));
    return bytes.concat(CodeBytes.filled(SIZE - bytes.length(), X86Planner.INT3));
  }
}
