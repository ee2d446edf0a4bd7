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

/**
 * The part of a probe's code that all its slots share: one routine that finds a thread's row where
 * the hash does not lead to it at once, and constants; and what slots do with it. Of one thread.
 */
final class ProbeCode {
  /** How many entries a thread looks at for its own; then it takes the shared row. */
  static final int TRIES = 16;

  /** Where slots keep what they use, below the stack pointer. */
  static final int SAVED_RAX = -64;

  static final int SAVED_RCX = -72;
  static final int SAVED_RDX = -80;

  /** Where slots may put something down for a moment. */
  static final int SCRATCH = -96;

  static final int MORE_SCRATCH = -104;

  /** Knuth's multiplicative hash; small enough for a positive 32-bit immediate. */
  static final int FACTOR = 0x1e37_79b1;

  /** The product's bits from here on choose the entry: control blocks are aligned to 64. */
  private static final int HASH_SHIFT = 20;

  private final Assembler code = new Assembler();
  private final long base;
  private final CounterTable table;
  private final ThreadKey key;

  private final Label find = new Label();
  private final Label start = new Label();
  private final Label end = new Label();
  private final Label shared = new Label();

  /**
   * @param base absolute address of the code
   * @param data absolute address of the counters
   */
  ProbeCode(long base, long data, CounterTable table, ThreadKey key) {
    this.base = base;
    this.table = table;
    this.key = key;
    find();
    constant(start, data);
    constant(end, data + (long) table.threads() * CounterTable.ENTRY);
    constant(shared, data + table.row(table.threads()));
  }

  /** Keeps RAX, RCX and RDX below the stack pointer. */
  static void save(Assembler code) {
    code.store(Register.RSP, SAVED_RAX, Register.RAX, Long.BYTES);
    code.store(Register.RSP, SAVED_RCX, Register.RCX, Long.BYTES);
    code.store(Register.RSP, SAVED_RDX, Register.RDX, Long.BYTES);
  }

  static void restore(Assembler code) {
    code.load(Register.RDX, Register.RSP, SAVED_RDX, Long.BYTES);
    code.load(Register.RCX, Register.RSP, SAVED_RCX, Long.BYTES);
    code.load(Register.RAX, Register.RSP, SAVED_RAX, Long.BYTES);
  }

  /** RAX: the time-stamp counter. Changes RDX. */
  static void now(Assembler code) {
    code.timeStamp();
    code.shiftLeft(Register.RDX, Integer.SIZE);
    code.operate(Operation.OR, Register.RAX, Register.RDX);
  }

  /** Where more of what is shared is written. */
  Assembler code() {
    return code;
  }

  /** Writes eight bytes that slots read. */
  void constant(Label label, long value) {
    code.place(label);
    code.raw(ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
  }

  /** All of it, with int3 behind it. */
  CodeBytes bytes(int size) {
    CodeBytes written = CodeBytes.of(code.toByteArray());
    if (written.length() > size) {
      throw new IllegalStateException("code of %d bytes in %d".formatted(written.length(), size));
    }
    return written.concat(CodeBytes.filled(size - written.length(), X86Planner.INT3));
  }

  /** A piece of a slot that names what stands here. Its code falls through at its end. */
  final class Piece {
    private final Assembler piece = new Assembler();
    private final long address;
    private final Label finds;
    private final Label starts;
    private final Label sharedRow;

    /**
     * @param address absolute address of its first byte
     */
    Piece(long address) {
      this.address = address;
      this.finds = here(find);
      this.starts = here(start);
      this.sharedRow = here(shared);
    }

    Assembler code() {
      return piece;
    }

    /** A label of the shared code, for this piece. */
    Label here(Label label) {
      Label outside = new Label();
      piece.place(outside, Math.toIntExact(base + ProbeCode.this.code.offset(label) - address));
      return outside;
    }

    CodeBytes bytes() {
      return CodeBytes.of(piece.toByteArray());
    }

    /**
     * RCX: the thread's entry in the table. RAX is changed, and no other register.
     *
     * @param slow where it goes on for a thread whose entry is elsewhere, with {@link #search}
     * @param nobody where it goes on for a thread that can't be told apart
     */
    void entry(Label slow, Label nobody) {
      key.read(piece, Register.RAX);
      if (key == ThreadKey.BASE) {
        // The key of no entry.
        piece.operate(Operation.CMP, Register.RAX, 0);
        piece.jump(Condition.EQUAL, nobody);
      }
      piece.move(Register.RCX, Register.RAX);
      piece.multiply(Register.RCX, FACTOR);
      piece.shiftRight(Register.RCX, HASH_SHIFT);
      piece.operate(Operation.AND, Register.RCX, (table.threads() - 1) * CounterTable.ENTRY);
      piece.operate(Operation.ADD, Register.RCX, starts);
      piece.operate(Operation.CMP, Register.RAX, Register.RCX, CounterTable.KEY);
      piece.jump(Condition.NOT_EQUAL, slow);
    }

    /** Goes on at {@code found} with RCX as {@link #entry} has it, or behind this. */
    void search(Label found) {
      piece.call(finds);
      piece.jump(Condition.EQUAL, found);
    }

    /** RCX: the row of all threads that have none. */
    void sharedRow() {
      piece.load(Register.RCX, sharedRow);
    }

    /**
     * Counts a call of a function. RAX and RCX are changed, and no other register.
     *
     * @param forAll whether others write to the thread's row too
     */
    Counting counting(int function, boolean forAll) {
      return new Counting(this, function * Long.BYTES, forAll);
    }
  }

  /** A call is counted: what most do at once, and apart from that what others do. */
  static final class Counting {
    private final Piece piece;
    private final int offset;
    private final boolean forAll;
    private final Label slow = new Label();
    private final Label nobody = new Label();
    private final Label found = new Label();

    /** Behind it. */
    final Label counted = new Label();

    private Counting(Piece piece, int offset, boolean forAll) {
      this.piece = piece;
      this.offset = offset;
      this.forAll = forAll;
    }

    /** It goes on behind this. */
    void count() {
      Assembler code = piece.code();
      piece.entry(slow, nobody);
      code.place(found);
      code.load(Register.RAX, Register.RCX, CounterTable.ROW, Long.BYTES);
      if (forAll) {
        code.incrementForAll(Register.RAX, offset);
      } else {
        code.increment(Register.RAX, offset);
      }
      code.place(counted);
    }

    /** Where nobody comes by falling through: for threads whose entry is elsewhere, or nowhere. */
    void elsewhere() {
      Assembler code = piece.code();
      code.place(slow);
      piece.search(found);
      code.place(nobody);
      piece.sharedRow();
      code.incrementForAll(Register.RCX, offset);
      code.jump(counted);
    }
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
}
