package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.LongFunction;

/**
 * Writes the code of a probe: one routine that finds a thread's row where the hash does not lead to
 * it at once, and behind it a slot for each function. Of one thread.
 *
 * <p>A slot is entered by the jump at the function's entry, by any thread, again from a signal
 * handler.
 *
 * <ol>
 *   <li>It begins with a NOP of five bytes: a jump in its place leads past the body.
 *   <li>rax and rcx are kept below the stack pointer, in the red zone, where nothing is live at a
 *       function's entry (psABI 3.2.2); so rsp stays, and the return address is where an unwinder
 *       looks for it, but in the few nanoseconds of {@link #find}. All other registers are as they
 *       were. The flags are not: no function gets anything in them (psABI 3.2.3).
 *   <li>It has no loop but that of {@link #find}, which ends after {@value #TRIES} entries; it
 *       takes no lock and makes no system call. It calls and returns in pairs: shadow stacks stay
 *       right.
 *   <li>It counts by one instruction, so a call that a signal interrupts is counted once.
 * </ol>
 */
final class ProbeWriter {
  /** Bytes of the part before the slots. */
  static final int HEAD = 192;

  /** Bytes of a slot. */
  static final int SLOT = 192;

  /** How many entries a thread looks at for its own; then it takes the shared row. */
  static final int TRIES = 16;

  /** Knuth's multiplicative hash; small enough for a positive 32-bit immediate. */
  private static final int FACTOR = 0x1e37_79b1;

  /** The product's bits from here on choose the entry: control blocks are aligned to 64. */
  private static final int HASH_SHIFT = 20;

  private static final int SAVED_RAX = -64;
  private static final int SAVED_RCX = -72;

  private final Assembler code = new Assembler();
  private final long base;
  private final CounterTable table;
  private final ThreadKey key;
  private final boolean isShared;

  private final Label find = new Label();
  private final Label start = new Label();
  private final Label end = new Label();
  private final Label shared = new Label();

  /**
   * @param base absolute address of the code
   * @param data absolute address of the counters
   * @param isShared whether forked children count there too: threads of theirs may be taken for one
   *     of the program's, since a child's thread has the address of that which has forked it
   */
  ProbeWriter(long base, long data, CounterTable table, ThreadKey key, boolean isShared) {
    this.base = base;
    this.table = table;
    this.key = key;
    this.isShared = isShared;
    find();
    constant(start, data);
    constant(end, data + (long) table.threads() * CounterTable.ENTRY);
    constant(shared, data + table.row(table.threads()));
    fillTo(HEAD);
  }

  private void constant(Label label, long value) {
    code.place(label);
    code.raw(ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
  }

  private void fillTo(int offset) {
    if (code.size() > offset) {
      throw new IllegalStateException("code of %d bytes in %d".formatted(code.size(), offset));
    }
    code.raw(CodeBytes.filled(offset - code.size(), X86Planner.INT3).toByteArray());
  }

  /**
   * RAX: the thread's key; RCX: the entry that the hash leads to. Equal: RCX is the thread's entry;
   * not equal: it has none. Changes no other register.
   */
  private void find() {
    Label look = new Label();
    Label other = new Label();
    Label inTable = new Label();
    Label done = new Label();
    code.place(find);
    code.push(Register.RDX);
    code.push(Register.RSI);
    code.move(Register.RSI, TRIES);
    code.place(look);
    code.load(Register.RDX, Register.RCX, CounterTable.KEY, Long.BYTES);
    code.operate(Operation.CMP, Register.RDX, Register.RAX);
    code.jump(Condition.EQUAL, done);
    code.operate(Operation.CMP, Register.RDX, 0);
    code.jump(Condition.NOT_EQUAL, other);
    code.move(Register.RDX, Register.RAX);
    code.move(Register.RAX, 0);
    code.compareAndSwap(Register.RCX, CounterTable.KEY, Register.RDX);
    code.move(Register.RAX, Register.RDX);
    code.jump(Condition.EQUAL, done);
    // Somebody else has taken it meanwhile, and will not give it back.
    code.jump(look);
    code.place(other);
    code.operate(Operation.ADD, Register.RCX, CounterTable.ENTRY);
    code.operate(Operation.CMP, Register.RCX, end);
    code.jump(Condition.BELOW, inTable);
    code.load(Register.RCX, start);
    code.place(inTable);
    code.operate(Operation.SUB, Register.RSI, 1);
    code.jump(Condition.NOT_EQUAL, look);
    code.operate(Operation.CMP, Register.RSI, 1); // not equal
    code.place(done);
    code.pop(Register.RSI);
    code.pop(Register.RDX);
    code.ret();
  }

  /** Absolute address of the next slot. */
  long nextSlot() {
    return base + code.size();
  }

  /**
   * Writes a slot.
   *
   * @param function its place among the functions, from 0
   * @param copy what the jump has displaced and the way back, for an absolute address
   * @return the absolute address of that
   */
  long slot(int function, LongFunction<CodeBytes> copy) {
    int begin = code.size();
    Label slow = new Label();
    Label found = new Label();
    Label done = new Label();
    Label nobody = new Label();
    code.nopForJump();
    code.store(Register.RSP, SAVED_RAX, Register.RAX, Long.BYTES);
    code.store(Register.RSP, SAVED_RCX, Register.RCX, Long.BYTES);
    key.read(code, Register.RAX);
    if (key == ThreadKey.BASE) {
      // The key of no entry: threads without a base can't be told apart.
      code.operate(Operation.CMP, Register.RAX, 0);
      code.jump(Condition.EQUAL, nobody);
    }
    code.move(Register.RCX, Register.RAX);
    code.multiply(Register.RCX, FACTOR);
    code.shiftRight(Register.RCX, HASH_SHIFT);
    code.operate(Operation.AND, Register.RCX, (table.threads() - 1) * CounterTable.ENTRY);
    code.operate(Operation.ADD, Register.RCX, start);
    code.operate(Operation.CMP, Register.RAX, Register.RCX, CounterTable.KEY);
    code.jump(Condition.NOT_EQUAL, slow);
    code.place(found);
    code.load(Register.RAX, Register.RCX, CounterTable.ROW, Long.BYTES);
    if (isShared) {
      code.incrementForAll(Register.RAX, function * Long.BYTES);
    } else {
      code.increment(Register.RAX, function * Long.BYTES);
    }
    code.place(done);
    code.load(Register.RCX, Register.RSP, SAVED_RCX, Long.BYTES);
    code.load(Register.RAX, Register.RSP, SAVED_RAX, Long.BYTES);
    long copied = base + code.size();
    code.raw(copy.apply(copied).toByteArray());
    code.place(slow);
    code.call(find);
    code.jump(Condition.EQUAL, found);
    code.place(nobody);
    code.load(Register.RCX, shared);
    code.incrementForAll(Register.RCX, function * Long.BYTES);
    code.jump(done);
    fillTo(begin + SLOT);
    return copied;
  }

  /** All that was written. */
  CodeBytes bytes() {
    return CodeBytes.of(code.toByteArray());
  }
}
