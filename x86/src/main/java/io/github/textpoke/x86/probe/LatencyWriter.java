package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.ProbeCode.Counting;
import io.github.textpoke.x86.probe.ProbeCode.Piece;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import java.io.ByteArrayOutputStream;
import java.util.function.LongFunction;

/**
 * Writes the code of a probe that times calls: slots at entries, which count the call and note when
 * it began, and bodies at exits. Of one thread.
 *
 * <p>Entry and exit of a call find each other by the place of the return address, where rsp points
 * at both: see {@link LatencyTable#CELL}. As long as a call lasts, nobody else begins one at that
 * place; so what an exit finds there is that call's, or nothing, whatever becomes of other calls:
 *
 * <ol>
 *   <li>One that was left by longjmp or an exception leaves its cell as it was, and the next call
 *       at that place overwrites it.
 *   <li>A signal handler runs elsewhere on the stack, or on another. If it interrupts an entry and
 *       uses the same cell, what stands there is not the sum of what was to be written: that call
 *       is not timed. The exit reads the stack pointer last, so a handler in between shows too.
 *   <li>Calls of two places that share a cell overwrite each other, and one is not timed.
 *   <li>A stack that another thread goes on with, or a coroutine, takes its calls along.
 *   <li>The epoch is 0 while the probe is armed and disarmed, when a thread may meet one end of a
 *       function and not the other; nothing is timed then.
 * </ol>
 *
 * <p>At an exit, rsp points to the return address, and what is below is dead; the body keeps what
 * it uses there, as {@link ProbeWriter} does, and changes no other register than the flags. rdtsc
 * is not ordered with what is around it: what a call has begun last may be finished after the time
 * is taken, some nanoseconds, which a fence would cost too.
 */
final class LatencyWriter implements EndsWriter {
  /** Bytes of the part before the slots. */
  static final int HEAD = 384;

  /** The most bytes of a slot at an entry, without what was displaced. */
  static final int ENTRY = 288;

  /** The most bytes of the body at an exit. */
  static final int EXIT = 448;

  private final long base;
  private final LatencyTable table;
  private final CallCondition condition;
  private final ProbeCode shared;
  private final Label take = new Label();
  private final Label head = new Label();
  private final Label cells = new Label();
  private final Label histograms = new Label();
  private final ByteArrayOutputStream written = new ByteArrayOutputStream();

  /**
   * @param base absolute address of the code
   * @param data absolute address of the table
   * @param condition which calls are counted and timed
   */
  LatencyWriter(long base, long data, LatencyTable table, CallCondition condition, ThreadKey key) {
    this.base = base;
    this.table = table;
    this.condition = condition;
    this.shared = new ProbeCode(base, data, table.counters(), key);
    take(shared.code());
    shared.constant(head, data + table.head());
    shared.constant(cells, data + table.cells());
    shared.constant(histograms, data + table.histograms());
    written.writeBytes(shared.bytes(HEAD).toByteArray());
  }

  /**
   * Takes a histogram for a function and a row, and clears it. A signal handler in between may take
   * one too; both count.
   *
   * <p>RAX: where its address is to be stored, RCX: the function. RAX: its address, or 0 where
   * there is none left. Changes RCX, and no other register.
   */
  private void take(Assembler code) {
    Label full = new Label();
    Label clear = new Label();
    Label done = new Label();
    code.place(take);
    code.push(Register.RDX);
    code.push(Register.RSI);
    code.load(Register.RSI, head);
    code.load(Register.RDX, Register.RSI, LatencyTable.ASKED_FOR, Long.BYTES);
    code.operate(Operation.CMP, Register.RDX, table.capacity());
    code.jump(Condition.NOT_BELOW, full);
    code.move(Register.RDX, 1);
    code.exchangeAndAdd(Register.RSI, LatencyTable.ASKED_FOR, Register.RDX);
    code.operate(Operation.CMP, Register.RDX, table.capacity());
    code.jump(Condition.NOT_BELOW, full);
    code.multiply(Register.RDX, LatencyTable.HISTOGRAM);
    code.operate(Operation.ADD, Register.RDX, histograms);
    code.push(Register.RAX);
    code.push(Register.RCX);
    code.move(Register.RAX, 0);
    code.move(Register.RCX, Register.RDX);
    code.move(Register.RSI, LatencyTable.HISTOGRAM / Long.BYTES);
    code.place(clear);
    code.store(Register.RCX, 0, Register.RAX, Long.BYTES);
    code.operate(Operation.ADD, Register.RCX, Long.BYTES);
    code.operate(Operation.SUB, Register.RSI, 1);
    code.jump(Condition.NOT_EQUAL, clear);
    code.pop(Register.RCX);
    code.pop(Register.RAX);
    // Whoever reads it goes by its first word.
    code.load(Register.RSI, head);
    code.load(Register.RSI, Register.RSI, Epochs.GENERATION, Long.BYTES);
    code.operate(Operation.ADD, Register.RSI, Register.RCX);
    code.store(Register.RDX, 0, Register.RSI, Long.BYTES);
    code.store(Register.RAX, 0, Register.RDX, Long.BYTES);
    code.move(Register.RAX, Register.RDX);
    code.jump(done);
    code.place(full);
    code.move(Register.RAX, 0);
    code.place(done);
    code.pop(Register.RSI);
    code.pop(Register.RDX);
    code.ret();
  }

  @Override
  public long nextSlot() {
    return base + written.size();
  }

  @Override
  public void entry(int function, LongFunction<CodeBytes> goOn) {
    Piece piece = shared.new Piece(nextSlot());
    Assembler code = piece.code();
    Counting counting = piece.counting(function, false);
    Label fails = new Label();
    Label done = new Label();
    code.nopForJump();
    ProbeCode.save(code);
    ConditionCode.write(code, condition, fails);
    counting.count();
    table.places().find(piece, cells);
    ProbeCode.now(code);
    code.store(Register.RCX, LatencyTable.POINTER, Register.RSP, Long.BYTES);
    code.store(Register.RCX, LatencyTable.BEGUN, Register.RAX, Long.BYTES);
    epoch(piece);
    code.operate(Operation.ADD, Register.RDX, function);
    code.store(Register.RCX, LatencyTable.TAG, Register.RDX, Long.BYTES);
    code.operate(Operation.ADD, Register.RAX, Register.RSP);
    code.store(Register.RCX, LatencyTable.SUM, Register.RAX, Long.BYTES);
    code.place(done);
    ProbeCode.restore(code);
    code.raw(goOn.apply(nextSlot() + code.size()).toByteArray());
    counting.elsewhere();
    if (!condition.isAlways()) {
      code.place(fails);
      forget(piece, done);
    }
    write(piece);
  }

  /**
   * A call that is not meant begins: one that had its place before has not returned, and is not to
   * be taken for it. Another's time may get lost.
   */
  private void forget(Piece piece, Label done) {
    Assembler code = piece.code();
    table.places().find(piece, cells);
    code.operate(Operation.CMP, Register.RSP, Register.RCX, LatencyTable.POINTER);
    code.jump(Condition.NOT_EQUAL, done);
    code.move(Register.RDX, 0);
    code.store(Register.RCX, LatencyTable.TAG, Register.RDX, Long.BYTES);
    code.jump(done);
  }

  @Override
  public void exitSlot(LongFunction<CodeBytes> goOn) {
    Piece piece = shared.new Piece(nextSlot());
    Assembler code = piece.code();
    code.nopForJump();
    code.raw(goOn.apply(nextSlot() + code.size()).toByteArray());
    write(piece);
  }

  @Override
  public void copy(CodeBytes copy) {
    written.writeBytes(copy.toByteArray());
    align();
  }

  private void write(Piece piece) {
    written.writeBytes(piece.bytes().toByteArray());
    align();
  }

  private void align() {
    int gap = -written.size() & ALIGNMENT - 1;
    written.writeBytes(CodeBytes.filled(gap, X86Planner.INT3).toByteArray());
  }

  @Override
  public CodeBytes exit(int function, boolean isReturn, long address) {
    Piece piece = shared.new Piece(address);
    Assembler code = piece.code();
    Label over = new Label();
    Label slow = new Label();
    Label nobody = new Label();
    Label found = new Label();
    Label own = new Label();
    Label takeOwn = new Label();
    Label ofAll = new Label();
    ProbeCode.save(code);
    ProbeCode.now(code);
    // Not RAX, which holds the time.
    table.places().find(piece, cells);
    code.load(Register.RDX, Register.RCX, LatencyTable.BEGUN, Long.BYTES);
    code.operate(Operation.SUB, Register.RAX, Register.RDX);
    code.operate(Operation.ADD, Register.RDX, Register.RSP);
    code.operate(Operation.CMP, Register.RDX, Register.RCX, LatencyTable.SUM);
    code.jump(Condition.NOT_EQUAL, over);
    epoch(piece);
    code.operate(Operation.CMP, Register.RDX, 0);
    code.jump(Condition.EQUAL, over);
    code.operate(Operation.ADD, Register.RDX, function);
    code.operate(Operation.CMP, Register.RDX, Register.RCX, LatencyTable.TAG);
    code.jump(Condition.NOT_EQUAL, over);
    code.operate(Operation.CMP, Register.RSP, Register.RCX, LatencyTable.POINTER);
    code.jump(Condition.NOT_EQUAL, over);
    // What returns twice, as vfork does, is timed once.
    code.move(Register.RDX, 0);
    code.store(Register.RCX, LatencyTable.TAG, Register.RDX, Long.BYTES);
    // Also where another core's counter is behind.
    code.move(Register.RDX, Register.RAX);
    code.shiftRight(Register.RDX, LatencyTable.MOST_BITS);
    code.jump(Condition.NOT_EQUAL, over);
    bucket(code);
    piece.entry(slow, nobody);
    code.place(found);
    code.load(Register.RCX, Register.RCX, CounterTable.ROW, Long.BYTES);
    code.load(Register.RAX, Register.RCX, table.histogramOf(function), Long.BYTES);
    code.operate(Operation.CMP, Register.RAX, 0);
    code.jump(Condition.EQUAL, takeOwn);
    code.place(own);
    code.operate(Operation.ADD, Register.RAX, Register.RDX);
    code.increment(Register.RAX, LatencyTable.BUCKETS_AT);
    code.jump(over);
    code.place(slow);
    piece.search(found);
    code.place(nobody);
    piece.sharedRow();
    code.load(Register.RAX, Register.RCX, table.histogramOf(function), Long.BYTES);
    code.operate(Operation.CMP, Register.RAX, 0);
    code.jump(Condition.NOT_EQUAL, ofAll);
    takeHistogram(piece, function);
    code.jump(Condition.EQUAL, over);
    code.place(ofAll);
    code.operate(Operation.ADD, Register.RAX, Register.RDX);
    code.incrementForAll(Register.RAX, LatencyTable.BUCKETS_AT);
    code.jump(over);
    code.place(takeOwn);
    takeHistogram(piece, function);
    code.jump(Condition.NOT_EQUAL, own);
    code.place(over);
    ProbeCode.restore(code);
    if (code.size() > EXIT) {
      throw new IllegalStateException("a body of %d bytes in %d".formatted(code.size(), EXIT));
    }
    return piece.bytes();
  }

  /** RCX: a row. RAX: the histogram that it gets; equal: none. Changes RCX. */
  private void takeHistogram(Piece piece, int function) {
    Assembler code = piece.code();
    code.address(Register.RAX, Register.RCX, table.histogramOf(function));
    code.move(Register.RCX, function);
    code.call(piece.here(take));
    code.operate(Operation.CMP, Register.RAX, 0);
  }

  /** RAX: ticks. RDX: offset of their bucket from the first, see {@link LatencyTable#bucket}. */
  private static void bucket(Assembler code) {
    int power = Integer.numberOfTrailingZeros(LatencyTable.PER_POWER);
    code.operate(Operation.ADD, Register.RAX, LatencyTable.PER_POWER);
    code.highestBit(Register.RCX, Register.RAX);
    code.operate(Operation.SUB, Register.RCX, power);
    code.move(Register.RDX, Register.RAX);
    code.shiftRightByCl(Register.RDX);
    code.operate(Operation.SUB, Register.RDX, LatencyTable.PER_POWER);
    code.shiftLeft(Register.RCX, power);
    code.operate(Operation.ADD, Register.RDX, Register.RCX);
    code.shiftLeft(Register.RDX, Integer.numberOfTrailingZeros(Long.BYTES));
  }

  /** RDX: the epoch. */
  private void epoch(Piece piece) {
    piece.code().load(Register.RDX, piece.here(head));
    piece.code().load(Register.RDX, Register.RDX, Epochs.EPOCH, Long.BYTES);
  }

  @Override
  public CodeBytes bytes() {
    return CodeBytes.of(written.toByteArray());
  }
}
