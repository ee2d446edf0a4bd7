package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;
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
  /** Bytes of the data. */
  static final int DATA_SIZE = 64;

  /** Bytes of the code, at most. */
  static final int SIZE = 256;

  /**
   * Of the loop, with a sleep in each: less than a second. A refresh takes some ten milliseconds,
   * and a quarter of a second was seen where ten threads were ready to run for each processor.
   */
  private static final int MOST_SLEEPS = 600;

  /** Of the loop without: a PAUSE is 40 to 140 cycles. */
  private static final int MOST_PAUSES = 1 << 24;

  private static final int FUTEX_WAIT_PRIVATE = 128;

  private HoldingBody() {}

  /** The data before the first call. */
  static CodeBytes data() {
    return CodeBytes.of(
        ByteBuffer.allocate(DATA_SIZE)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(WaitingCode.ARMED, HeldCalls.IS_ARMED)
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
    WaitingCode waiting = new WaitingCode(code, data);
    Label goOn = new Label();
    code.pushFlags();
    code.operate(Operation.CMP, Register.RDI, 0);
    code.jump(Condition.NOT_EQUAL, goOn);
    waiting.begin(sleeps ? MOST_SLEEPS : MOST_PAUSES);
    waiting.await(0, waiting.expired(), FUTEX_WAIT_PRIVATE, sleeps);
    waiting.end();
    code.place(goOn);
    code.popFlags();
    return WaitingCode.leadingTo(original, code, at, SIZE);
  }
}
