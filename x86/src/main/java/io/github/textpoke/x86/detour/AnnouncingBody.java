package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * The body of a detour in which calls say that they have come, and wait until somebody outside has
 * seen them; see {@link AnnouncedCalls}. It assumes what {@link GateCode} does, with 112 bytes of
 * stack, and guarantees that
 *
 * <ol>
 *   <li>all registers, the flags, and the stack from rsp upwards are as at the entry when it goes
 *       on to the original;
 *   <li>a call waits for a bounded number of turns; the first that waits for so long has no other
 *       wait after it, unless somebody says that he is there again. It takes no lock, and makes no
 *       system call but gettid, and futex, to sleep, and none where it is not to;
 *   <li>it can be run by the children that a process forks, with and without memory of their own:
 *       its data is memory that all of them share.
 * </ol>
 *
 * <p>Its data, by eight bytes:
 *
 * <pre>
 *   0  visits  how many calls have come
 *   8  seen    how many of them need not wait any more
 *  16  armed   1: somebody is there; 0: nobody waits
 *  64  slots   of 64 bytes, call n in that of n modulo their number:
 *              0   number  n, written last
 *              8   thread  the caller's thread id, in its own namespace; -1: not known
 *              16  kind    which function it is
 *              24  first, second: the first two arguments
 *              40  waits   1; 0: it has waited in vain
 * </pre>
 */
final class AnnouncingBody {
  static final int SLOTS = 64;
  static final int SLOT_SIZE = 64;

  /** A power of two. */
  static final int SLOT_COUNT = 32;

  static final int NUMBER = 0;
  static final int THREAD = 8;
  static final int KIND = 16;
  static final int FIRST = 24;
  static final int SECOND = 32;
  static final int WAITS = 40;

  /** Bytes of the data. */
  static final int DATA_SIZE = 4096;

  /** Bytes of the code, at most. */
  static final int SIZE = 448;

  private static final int SLOT_BITS = 6;
  private static final int FUTEX_WAIT = 0;

  /** What stands for the caller where it may not ask. */
  private static final int UNKNOWN = -1;

  /** Without sleeping: a PAUSE is 40 to 140 cycles. */
  private static final int MOST_PAUSES = 1 << 24;

  /** With a sleep in each: some two seconds. */
  private static final int MOST_SLEEPS = 1500;

  private AnnouncingBody() {}

  /**
   * The code.
   *
   * @param at absolute address where it will stand
   * @param announcing where its data is, anywhere
   * @param original absolute address of what runs afterwards; within 2 GiB
   */
  static CodeBytes code(long at, Destination.Announcing announcing, long original) {
    Assembler code = new Assembler();
    WaitingCode waiting = new WaitingCode(code, announcing.data());
    code.pushFlags();
    boolean calls = announcing.calls();
    Label inVain = new Label();
    Label end = new Label();
    waiting.begin(calls ? MOST_SLEEPS : MOST_PAUSES);
    // Until the slot is free.
    waiting.await(SLOT_COUNT, waiting.expired(), FUTEX_WAIT, calls);
    if (calls) {
      code.move(Register.RAX, Kernel.SYS_GETTID);
      code.syscall();
    } else {
      code.move(Register.RAX, UNKNOWN);
    }
    slot(code);
    code.store(Register.RCX, SLOTS + THREAD, Register.RAX, Long.BYTES);
    code.move(Register.RAX, announcing.kind());
    code.store(Register.RCX, SLOTS + KIND, Register.RAX, Long.BYTES);
    keep(code, Register.RDI, FIRST);
    keep(code, Register.RSI, SECOND);
    code.move(Register.RAX, 1);
    code.store(Register.RCX, SLOTS + WAITS, Register.RAX, Long.BYTES);
    code.load(Register.RAX, Register.RSP, WaitingCode.VISIT, Long.BYTES);
    code.store(Register.RCX, SLOTS + NUMBER, Register.RAX, Long.BYTES);
    waiting.await(0, inVain, FUTEX_WAIT, calls);
    code.jump(end);
    code.place(inVain);
    // Whoever sees it later is to know that nobody waits.
    slot(code);
    code.move(Register.RAX, 0);
    code.store(Register.RCX, SLOTS + WAITS, Register.RAX, Long.BYTES);
    code.jump(waiting.expired());
    code.place(end);
    waiting.end();
    code.popFlags();
    return WaitingCode.leadingTo(original, code, at, SIZE);
  }

  /** RCX: the slot, from the data on. */
  private static void slot(Assembler code) {
    code.load(Register.RCX, Register.RSP, WaitingCode.VISIT, Long.BYTES);
    code.operate(Operation.AND, Register.RCX, SLOT_COUNT - 1);
    code.shiftLeft(Register.RCX, SLOT_BITS);
    code.operate(Operation.ADD, Register.RCX, Register.RDX);
  }

  private static void keep(Assembler code, Register argument, int offset) {
    code.load(Register.RAX, Register.RSP, WaitingCode.offset(argument), Long.BYTES);
    code.store(Register.RCX, SLOTS + offset, Register.RAX, Long.BYTES);
  }
}
