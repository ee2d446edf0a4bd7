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
import java.util.OptionalInt;
import java.util.function.LongFunction;

/**
 * Writes the code of a probe that captures. Of one thread.
 *
 * <p>Records. A writer takes the next ticket, which chooses its slot, and makes the slot its own by
 * one compare-and-swap from a complete state to its own; only then it writes there, and completes
 * the state last (processors keep the order of stores, SDM vol. 3 9.2.2). A slot that is another's,
 * or holds a later ticket, is left alone, and the ticket is counted there. So nobody waits, whoever
 * is interrupted where and however long, and {@link CaptureRing} can tell what became of each
 * ticket. A thread that leaves its body for good, by longjmp out of a signal's handler, takes its
 * slot along, and the cell of its note.
 *
 * <p>Notes, where what a call returns is kept. An entry makes the cell of its place on the stack
 * its own by an exchange. If that was a note, of a call whose cell it shares or that never
 * returned, it is counted as unkept: exactly one entry sees that. If somebody is at it at this
 * moment, this call itself is unkept. An exit takes a note only with its own place in it, by
 * compare-and-swap; as long as a call lasts, nobody else begins one at that place. So it is this
 * call's, or that of one that had this place before and never returned, while this one has no note:
 * that can not be, for an entry without a note, of a call that is not meant, has removed what it
 * found of its place. The epoch tells calls apart that did not see the probe at both ends.
 *
 * <p>Registers, flags and the stack are as {@link ProbeWriter} has them.
 */
final class CaptureWriter implements EndsWriter {
  /** Bytes of the part before the slots. */
  static final int HEAD = 256;

  /** The most bytes of a slot at an entry, without condition and what was displaced. */
  static final int ENTRY = 640;

  /** The most bytes of the body at an exit. */
  static final int EXIT = 640;

  private static final int SAVED_R11 = -88;

  /** At an exit: the time, and where the note is. */
  private static final int ENDED = ProbeCode.SCRATCH;

  private static final int NOTE = ProbeCode.MORE_SCRATCH;

  /** At an entry: the epoch and function. */
  private static final int TAG = ProbeCode.SCRATCH;

  private static final int MARK_SHIFT = Long.SIZE - CaptureTable.MARK_BITS;

  private final long base;
  private final CaptureTable table;
  private final ProbeAction.Capture action;
  private final ThreadKey key;
  private final OptionalInt threadId;
  private final ProbeCode shared;
  private final Label head = new Label();
  private final Label slots = new Label();
  private final Label cells = new Label();
  private final ByteArrayOutputStream written = new ByteArrayOutputStream();

  /**
   * @param base absolute address of the code
   * @param data absolute address of the table
   * @param threadId where a thread's control block has its id; empty: not known
   */
  CaptureWriter(
      long base,
      long data,
      CaptureTable table,
      ProbeAction.Capture action,
      ThreadKey key,
      OptionalInt threadId) {
    this.base = base;
    this.table = table;
    this.action = action;
    this.key = key;
    this.threadId = threadId;
    this.shared = new ProbeCode(base, data, table.counters(), key);
    shared.constant(head, data + table.head());
    shared.constant(slots, data + table.slots());
    shared.constant(cells, data + table.firstCell());
    written.writeBytes(shared.bytes(HEAD).toByteArray());
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
    Label refused = new Label();
    Label done = new Label();
    code.nopForJump();
    save(code);
    ConditionCode.write(code, action.condition(), table.isPaired() ? fails : done);
    if (table.isPaired()) {
      epoch(piece);
      code.operate(Operation.CMP, Register.RDX, 0);
      code.jump(Condition.EQUAL, done);
      code.operate(Operation.ADD, Register.RDX, function);
      code.store(Register.RSP, TAG, Register.RDX, Long.BYTES);
    }
    counting.count();
    if (table.isPaired()) {
      note(piece, done);
    } else {
      slot(piece, refused);
      arguments(code, CaptureTable.ARGUMENTS);
      ProbeCode.now(code);
      code.store(Register.RCX, CaptureTable.BEGUN, Register.RAX, Long.BYTES);
      complete(code, function, CaptureTable.ENTERED);
    }
    code.place(done);
    restore(code);
    code.raw(goOn.apply(nextSlot() + code.size()).toByteArray());
    counting.elsewhere();
    if (table.isPaired()) {
      code.place(fails);
      removeNote(piece, done);
    } else {
      code.place(refused);
      code.incrementForAll(Register.RCX, CaptureTable.REFUSED);
    }
    code.jump(done);
    write(piece);
  }

  /** Takes the next ticket and its slot: RCX. Changes RAX, RDX and R11. */
  private void slot(Piece piece, Label refused) {
    Assembler code = piece.code();
    code.load(Register.RDX, piece.here(head));
    code.move(Register.RAX, 1);
    code.exchangeAndAdd(Register.RDX, CaptureTable.TICKETS, Register.RAX);
    code.move(Register.RCX, Register.RAX);
    code.operate(Operation.AND, Register.RCX, table.records() - 1);
    code.shiftLeft(Register.RCX, Integer.numberOfTrailingZeros(CaptureTable.SLOT));
    code.operate(Operation.ADD, Register.RCX, piece.here(slots));
    code.operate(Operation.ADD, Register.RAX, Register.RAX);
    code.address(Register.RDX, Register.RAX, 1);
    code.load(Register.RAX, Register.RCX, CaptureTable.STATE, Long.BYTES);
    code.move(Register.R11, Register.RAX);
    code.operate(Operation.AND, Register.R11, 1);
    code.jump(Condition.NOT_EQUAL, refused);
    code.operate(Operation.CMP, Register.RAX, Register.RDX);
    code.jump(Condition.NOT_BELOW, refused);
    code.compareAndSwap(Register.RCX, CaptureTable.STATE, Register.RDX);
    code.jump(Condition.NOT_EQUAL, refused);
  }

  /** RCX: a slot. Writes what else is in it, and completes it. Changes RAX. */
  private void complete(Assembler code, int function, int kind) {
    key.read(code, Register.RAX);
    code.store(Register.RCX, CaptureTable.POINTER, Register.RAX, Long.BYTES);
    if (threadId.isPresent()) {
      code.threadWord(Register.RAX, threadId.getAsInt());
    } else {
      code.move(Register.RAX, 0);
    }
    code.store(Register.RCX, CaptureTable.THREAD, Register.RAX, Integer.BYTES);
    code.move(Register.RAX, function);
    code.store(Register.RCX, CaptureTable.FUNCTION, Register.RAX, Integer.BYTES);
    code.move(Register.RAX, kind);
    code.store(Register.RCX, CaptureTable.KIND, Register.RAX, Long.BYTES);
    code.increment(Register.RCX, CaptureTable.COMPLETED);
    code.increment(Register.RCX, CaptureTable.STATE);
  }

  /** RCX: where the arguments' registers go, from an offset on. Changes RAX. */
  private void arguments(Assembler code, int offset) {
    for (int i = 0; i < action.arguments().size(); i++) {
      Register from = ConditionCode.ARGUMENTS.get(action.arguments().get(i).number() - 1);
      if (from == Register.RCX || from == Register.RDX) {
        int saved = from == Register.RCX ? ProbeCode.SAVED_RCX : ProbeCode.SAVED_RDX;
        code.load(Register.RAX, Register.RSP, saved, Long.BYTES);
        from = Register.RAX;
      }
      code.store(Register.RCX, offset + i * Long.BYTES, from, Long.BYTES);
    }
  }

  /** Writes the note of a call, or goes on at {@code done} if somebody is at its cell. */
  private void note(Piece piece, Label done) {
    Assembler code = piece.code();
    Label free = new Label();
    table.cells().find(piece, cells);
    mark(piece);
    code.move(Register.RAX, Register.RDX);
    code.exchange(Register.RCX, CaptureTable.NOTE_OWNER, Register.RAX);
    isForeign(code, free);
    code.load(Register.R11, piece.here(head));
    code.incrementForAll(Register.R11, CaptureTable.UNKEPT);
    code.operate(Operation.CMP, Register.RAX, Register.RDX);
    code.jump(Condition.EQUAL, done);
    code.place(free);
    code.store(Register.RCX, CaptureTable.NOTE_POINTER, Register.RSP, Long.BYTES);
    code.load(Register.RAX, Register.RSP, TAG, Long.BYTES);
    code.store(Register.RCX, CaptureTable.NOTE_TAG, Register.RAX, Long.BYTES);
    arguments(code, CaptureTable.NOTE_ARGUMENTS);
    ProbeCode.now(code);
    code.store(Register.RCX, CaptureTable.NOTE_BEGUN, Register.RAX, Long.BYTES);
    code.shiftLeft(Register.RAX, CaptureTable.MARK_BITS);
    code.shiftRight(Register.RAX, CaptureTable.MARK_BITS);
    code.operate(Operation.OR, Register.RAX, 1);
    mark(piece);
    code.operate(Operation.OR, Register.RAX, Register.RDX);
    code.store(Register.RCX, CaptureTable.NOTE_OWNER, Register.RAX, Long.BYTES);
  }

  /** Removes the note of a call that had this place and has not returned, if there is one. */
  private void removeNote(Piece piece, Label done) {
    Assembler code = piece.code();
    table.cells().find(piece, cells);
    findNote(piece, done);
    code.move(Register.RDX, 0);
    code.compareAndSwap(Register.RCX, CaptureTable.NOTE_OWNER, Register.RDX);
    code.jump(Condition.NOT_EQUAL, done);
    code.load(Register.RDX, piece.here(head));
    code.incrementForAll(Register.RDX, CaptureTable.UNKEPT);
  }

  /**
   * RCX: a cell. RAX: its owner, a note of a call of this place; RDX: the mark. Changes R11.
   *
   * @param none where it goes on if there is no such note
   */
  private void findNote(Piece piece, Label none) {
    Assembler code = piece.code();
    code.load(Register.RAX, Register.RCX, CaptureTable.NOTE_OWNER, Long.BYTES);
    mark(piece);
    isForeign(code, none);
    code.operate(Operation.CMP, Register.RAX, Register.RDX);
    code.jump(Condition.EQUAL, none);
    code.operate(Operation.CMP, Register.RSP, Register.RCX, CaptureTable.NOTE_POINTER);
    code.jump(Condition.NOT_EQUAL, none);
  }

  /** RAX: an owner, RDX: the mark. Changes R11. */
  private static void isForeign(Assembler code, Label foreign) {
    code.move(Register.R11, Register.RAX);
    code.operate(Operation.XOR, Register.R11, Register.RDX);
    code.shiftRight(Register.R11, MARK_SHIFT);
    code.jump(Condition.NOT_EQUAL, foreign);
  }

  /** RDX: the mark. */
  private void mark(Piece piece) {
    piece.code().load(Register.RDX, piece.here(head));
    piece.code().load(Register.RDX, Register.RDX, CaptureTable.MARK, Long.BYTES);
  }

  /** RDX: the epoch. */
  private void epoch(Piece piece) {
    piece.code().load(Register.RDX, piece.here(head));
    piece.code().load(Register.RDX, Register.RDX, Epochs.EPOCH, Long.BYTES);
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
  public CodeBytes exit(int function, boolean isReturn, long address) {
    Piece piece = shared.new Piece(address);
    Assembler code = piece.code();
    Label over = new Label();
    Label strange = new Label();
    Label refused = new Label();
    Label free = new Label();
    save(code);
    ProbeCode.now(code);
    code.store(Register.RSP, ENDED, Register.RAX, Long.BYTES);
    table.cells().find(piece, cells);
    code.store(Register.RSP, NOTE, Register.RCX, Long.BYTES);
    findNote(piece, over);
    code.compareAndSwap(Register.RCX, CaptureTable.NOTE_OWNER, Register.RDX);
    code.jump(Condition.NOT_EQUAL, over);
    // It may have become another's before that.
    code.operate(Operation.CMP, Register.RSP, Register.RCX, CaptureTable.NOTE_POINTER);
    code.jump(Condition.NOT_EQUAL, strange);
    epoch(piece);
    code.operate(Operation.ADD, Register.RDX, function);
    code.operate(Operation.CMP, Register.RDX, Register.RCX, CaptureTable.NOTE_TAG);
    code.jump(Condition.NOT_EQUAL, strange);
    slot(piece, refused);
    code.load(Register.R11, Register.RSP, NOTE, Long.BYTES);
    for (int i = 0; i < action.arguments().size(); i++) {
      moveOn(code, Register.R11, CaptureTable.NOTE_ARGUMENTS, CaptureTable.ARGUMENTS, i);
    }
    moveOn(code, Register.R11, CaptureTable.NOTE_BEGUN, CaptureTable.BEGUN, 0);
    moveOn(code, Register.RSP, ENDED, CaptureTable.ENDED, 0);
    moveOn(code, Register.RSP, ProbeCode.SAVED_RAX, CaptureTable.RETURNED, 0);
    complete(code, function, isReturn ? CaptureTable.HAS_RETURNED : CaptureTable.HAS_GONE_ON);
    code.jump(free);
    code.place(refused);
    code.incrementForAll(Register.RCX, CaptureTable.REFUSED);
    code.jump(free);
    code.place(strange);
    code.load(Register.RDX, piece.here(head));
    code.incrementForAll(Register.RDX, CaptureTable.UNKEPT);
    code.place(free);
    code.load(Register.RCX, Register.RSP, NOTE, Long.BYTES);
    code.move(Register.RAX, 0);
    code.store(Register.RCX, CaptureTable.NOTE_OWNER, Register.RAX, Long.BYTES);
    code.place(over);
    restore(code);
    if (code.size() > EXIT) {
      throw new IllegalStateException("a body of %d bytes in %d".formatted(code.size(), EXIT));
    }
    return piece.bytes();
  }

  /** Copies a word to the slot in RCX, the index-th from an offset on. Changes RAX. */
  private static void moveOn(Assembler code, Register from, int offset, int to, int index) {
    code.load(Register.RAX, from, offset + index * Long.BYTES, Long.BYTES);
    code.store(Register.RCX, to + index * Long.BYTES, Register.RAX, Long.BYTES);
  }

  private static void save(Assembler code) {
    ProbeCode.save(code);
    code.store(Register.RSP, SAVED_R11, Register.R11, Long.BYTES);
  }

  private static void restore(Assembler code) {
    code.load(Register.R11, Register.RSP, SAVED_R11, Long.BYTES);
    ProbeCode.restore(code);
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
  public CodeBytes bytes() {
    return CodeBytes.of(written.toByteArray());
  }
}
