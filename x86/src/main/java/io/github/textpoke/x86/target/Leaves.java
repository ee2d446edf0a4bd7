package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.MASKS;
import static io.github.textpoke.apply.internal.SessionLayout.OP_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.OP_BYTES;
import static io.github.textpoke.apply.internal.SessionLayout.OP_EXPECTED;
import static io.github.textpoke.apply.internal.SessionLayout.OP_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.OP_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_OLD;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEES;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_TID;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * The few loops that are written instruction by instruction, because they run once per site or per
 * thread, and those that read memory which may not be there. A page fault in one of the latter
 * comes to {@link #faultHandler}, and the routine returns the address that it could not read.
 */
final class Leaves {
  private static final int SITE_SHIFT = 4;
  private static final int TRACEE_SHIFT = 4;
  private static final int PAGE_MASK = 0xfff;

  /** From here on in its page, 16 bytes can't be read at once. */
  private static final int LAST_WHOLE = 0xff1;

  private static final int FAULT_STATUS = 139;

  /** {@code fetch(from, to, length)}: copies; 0, or where it could not read. */
  final Routine fetch;

  /**
   * {@code firstSuspect(site, end)}: address of the first site of a table that may hold other bytes
   * than the old ones, or that can't be looked at in this way; 0: there is none.
   */
  final Routine firstSuspect;

  /**
   * {@code edit(op, count, delta)}: compares and changes the image of a run, whose address is that
   * of the code plus delta; 0, or the address of the write that met other bytes.
   */
  final Routine edit;

  /**
   * {@code scan(from, end, lowest, span, other)}: address of the first of the words from there to
   * the end that lies in so many bytes from the lowest on, or is the other; it stands in {@link
   * #scanned} then, which is 0 where there is none before the end or before what can't be read.
   */
  final Routine scan;

  /** See {@link #scan}. */
  final Slot scanned;

  /** Handler of SIGSEGV and SIGBUS. */
  final Routine faultHandler;

  /** Where a handler returns to. */
  final Routine restorer;

  private final Assembler assembler;
  private final Emitter emitter;
  private final Label faultable = new Label();
  private final Label faultableEnd = new Label();
  private final Label landing = new Label();

  Leaves(Emitter emitter, Assembler assembler) {
    this.emitter = emitter;
    this.assembler = assembler;
    Slot a = emitter.variable();
    Slot b = emitter.variable();
    Slot c = emitter.variable();
    fetch = emitter.declare("fetch", a, b, c);
    firstSuspect = emitter.declare("firstSuspect", a, b);
    edit = emitter.declare("edit", a, b, c);
    Slot d = emitter.variable();
    Slot e = emitter.variable();
    scanned = emitter.variable();
    scan = emitter.declare("scan", a, b, c, d, e);
    faultHandler = emitter.declare("faultHandler");
    restorer = emitter.declare("restorer");
    emitter.define(edit, "compare and change the image of a run", () -> edit(a, b, c));
    assembler.place(faultable);
    emitter.define(fetch, "copy from memory that may not be there", () -> fetch(a, b, c));
    emitter.define(firstSuspect, "the first site that is not old", () -> firstSuspect(a, b));
    emitter.define(scan, "words of a stack that may be a boundary", () -> scan(a, b, c, d, e));
    assembler.place(faultableEnd);
    emitter.define(faultHandler, "a page fault in one of the three above", this::faultHandler);
    emitter.define(restorer, "the end of a handler", () -> emitter.system(Sys.RT_SIGRETURN));
  }

  private void load(Register register, Slot slot) {
    assembler.load(register, Emitter.BASE, slot.offset(), slot.width());
  }

  /**
   * Writes {@code findThread(tid)}: address of a thread's entry in the table; 0: there is none.
   *
   * @param last address of the entry that was found last
   * @param size how many entries there are
   * @param highest no thread has a greater id
   */
  Routine findThread(Slot last, Slot size, Slot highest) {
    Slot tid = emitter.variable();
    return emitter.routine(
        "findThread",
        "a thread's entry; they are mostly asked for in the order in which they were added",
        ImmutableList.of(tid),
        () -> {
          emitter.when(tid.isGreater(highest), () -> emitter.give(0));
          find(tid, last, size);
        });
  }

  /** In the order in which they stand, from the one that was found last on, and once around. */
  private void find(Slot tid, Slot last, Slot size) {
    Label next = new Label();
    Label around = new Label();
    Label found = new Label();
    load(Register.RCX, tid);
    load(Register.RSI, last);
    load(Register.RDI, size);
    assembler.shiftLeft(Register.RDI, TRACEE_SHIFT);
    assembler.address(Register.R8, Emitter.BASE, TRACEES);
    assembler.operate(Operation.ADD, Register.RDI, Register.R8);
    assembler.move(Register.R9, 2);
    assembler.place(next);
    assembler.operate(Operation.CMP, Register.RSI, Register.RDI);
    assembler.jump(Condition.NOT_BELOW, around);
    assembler.load(Register.RAX, Register.RSI, TRACEE_TID, Integer.BYTES);
    assembler.operate(Operation.CMP, Register.RAX, Register.RCX);
    assembler.jump(Condition.EQUAL, found);
    assembler.operate(Operation.ADD, Register.RSI, TRACEE_SIZE);
    assembler.jump(next);
    assembler.place(around);
    assembler.move(Register.RSI, Register.R8);
    assembler.operate(Operation.SUB, Register.R9, 1);
    assembler.jump(Condition.NOT_EQUAL, next);
    assembler.move(Register.RAX, 0);
    assembler.ret();
    assembler.place(found);
    assembler.store(Emitter.BASE, last.offset(), Register.RSI, Long.BYTES);
    assembler.move(Register.RAX, Register.RSI);
    assembler.ret();
  }

  private void fetch(Slot from, Slot to, Slot length) {
    load(Register.RSI, from);
    load(Register.RDI, to);
    load(Register.RCX, length);
    assembler.copy();
  }

  private void firstSuspect(Slot first, Slot end) {
    Label next = new Label();
    Label none = new Label();
    load(Register.RSI, first);
    load(Register.RDI, end);
    assembler.address(Register.R8, Emitter.BASE, MASKS);
    assembler.place(next);
    assembler.operate(Operation.CMP, Register.RSI, Register.RDI);
    assembler.jump(Condition.NOT_BELOW, none);
    emitter.note("16 bytes at once, unless they reach into the next page");
    assembler.load(Register.RDX, Register.RSI, SITE_ADDRESS, Long.BYTES);
    assembler.move(Register.RAX, Register.RDX);
    assembler.operate(Operation.AND, Register.RAX, PAGE_MASK);
    assembler.operate(Operation.CMP, Register.RAX, LAST_WHOLE);
    assembler.jump(Condition.NOT_BELOW, landing);
    assembler.load(Register.RAX, Register.RSI, SITE_LENGTH, Integer.BYTES);
    assembler.shiftLeft(Register.RAX, SITE_SHIFT);
    assembler.operate(Operation.ADD, Register.RAX, Register.R8);
    assembler.load(Register.R9, Register.RDX, 0, Long.BYTES);
    assembler.operate(Operation.XOR, Register.R9, Register.RSI, SITE_OLD);
    assembler.operate(Operation.AND, Register.R9, Register.RAX, 0);
    assembler.load(Register.R10, Register.RDX, Long.BYTES, Long.BYTES);
    assembler.operate(Operation.XOR, Register.R10, Register.RSI, SITE_OLD + Long.BYTES);
    assembler.operate(Operation.AND, Register.R10, Register.RAX, Long.BYTES);
    assembler.operate(Operation.OR, Register.R9, Register.R10);
    assembler.jump(Condition.NOT_EQUAL, landing);
    assembler.operate(Operation.ADD, Register.RSI, SITE_SIZE);
    assembler.jump(next);
    emitter.note("a fault lands here too: RSI is what could not be read");
    assembler.place(landing);
    assembler.move(Register.RAX, Register.RSI);
    assembler.ret();
    assembler.place(none);
  }

  private void scan(Slot from, Slot end, Slot lowest, Slot span, Slot other) {
    Label next = new Label();
    Label none = new Label();
    Label found = new Label();
    assembler.move(Register.RAX, 0);
    assembler.store(Emitter.BASE, scanned.offset(), Register.RAX, Long.BYTES);
    load(Register.RSI, from);
    load(Register.RDI, end);
    load(Register.RDX, lowest);
    load(Register.RCX, span);
    load(Register.R8, other);
    assembler.place(next);
    assembler.operate(Operation.CMP, Register.RSI, Register.RDI);
    assembler.jump(Condition.NOT_BELOW, none);
    assembler.load(Register.R9, Register.RSI, 0, Long.BYTES);
    assembler.operate(Operation.CMP, Register.R9, Register.R8);
    assembler.jump(Condition.EQUAL, found);
    assembler.move(Register.RAX, Register.R9);
    assembler.operate(Operation.SUB, Register.RAX, Register.RDX);
    assembler.operate(Operation.CMP, Register.RAX, Register.RCX);
    assembler.jump(Condition.BELOW, found);
    assembler.operate(Operation.ADD, Register.RSI, Long.BYTES);
    assembler.jump(next);
    assembler.place(found);
    assembler.store(Emitter.BASE, scanned.offset(), Register.R9, Long.BYTES);
    assembler.move(Register.RAX, Register.RSI);
    assembler.ret();
    assembler.place(none);
  }

  private void edit(Slot op, Slot count, Slot delta) {
    Label next = new Label();
    Label none = new Label();
    Label other = new Label();
    Label same = new Label();
    Label done = new Label();
    load(Register.RSI, op);
    load(Register.RCX, count);
    load(Register.RDI, delta);
    assembler.address(Register.R8, Emitter.BASE, MASKS);
    assembler.place(next);
    assembler.operate(Operation.CMP, Register.RCX, 0);
    assembler.jump(Condition.EQUAL, none);
    assembler.load(Register.RDX, Register.RSI, OP_LENGTH, 1);
    assembler.move(Register.R11, Register.RDX);
    assembler.shiftLeft(Register.RDX, SITE_SHIFT);
    assembler.operate(Operation.ADD, Register.RDX, Register.R8);
    assembler.load(Register.RAX, Register.RSI, OP_ADDRESS, Long.BYTES);
    assembler.operate(Operation.ADD, Register.RAX, Register.RDI);
    emitter.note("compare");
    compare(0, other);
    emitter.note("most writes do not reach the second half");
    assembler.operate(Operation.CMP, Register.R11, Long.BYTES + 1);
    assembler.jump(Condition.BELOW, same);
    compare(Long.BYTES, other);
    assembler.place(same);
    emitter.note("change the bits in which expected and new bytes differ");
    change(0);
    assembler.operate(Operation.CMP, Register.R11, Long.BYTES + 1);
    assembler.jump(Condition.BELOW, done);
    change(Long.BYTES);
    assembler.place(done);
    assembler.operate(Operation.ADD, Register.RSI, OP_SIZE);
    assembler.operate(Operation.SUB, Register.RCX, 1);
    assembler.jump(next);
    assembler.place(other);
    assembler.move(Register.RAX, Register.RSI);
    assembler.ret();
    assembler.place(none);
  }

  /** In: RAX, the image; RSI, the write; RDX, its mask. */
  private void compare(int half, Label other) {
    assembler.load(Register.R9, Register.RAX, half, Long.BYTES);
    assembler.operate(Operation.XOR, Register.R9, Register.RSI, OP_EXPECTED + half);
    assembler.operate(Operation.AND, Register.R9, Register.RDX, half);
    assembler.jump(Condition.NOT_EQUAL, other);
  }

  /** In: as {@link #compare}. */
  private void change(int half) {
    assembler.load(Register.R9, Register.RSI, OP_EXPECTED + half, Long.BYTES);
    assembler.operate(Operation.XOR, Register.R9, Register.RSI, OP_BYTES + half);
    assembler.operate(Operation.AND, Register.R9, Register.RDX, half);
    assembler.operate(Operation.XOR, Register.RAX, half, Register.R9);
  }

  /** In: RDX, the interrupted context. Faults elsewhere are defects: the poker ends. */
  private void faultHandler() {
    Label elsewhere = new Label();
    assembler.load(Register.RCX, Register.RDX, Sys.CONTEXT_RIP, Long.BYTES);
    assembler.address(Register.RAX, faultable);
    assembler.operate(Operation.CMP, Register.RCX, Register.RAX);
    assembler.jump(Condition.BELOW, elsewhere);
    assembler.address(Register.RAX, faultableEnd);
    assembler.operate(Operation.CMP, Register.RCX, Register.RAX);
    assembler.jump(Condition.NOT_BELOW, elsewhere);
    assembler.address(Register.RAX, landing);
    assembler.store(Register.RDX, Sys.CONTEXT_RIP, Register.RAX, Long.BYTES);
    assembler.ret();
    assembler.place(elsewhere);
    emitter.system(Sys.EXIT_GROUP, Value.of(FAULT_STATUS));
  }
}
