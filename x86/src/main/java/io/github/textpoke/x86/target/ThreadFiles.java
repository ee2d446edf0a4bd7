package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/** Reads what /proc tells of a thread: small files, and numbers in them. */
final class ThreadFiles {
  /** Bytes of scratch memory that it takes. */
  static final int SCRATCH_SIZE = 0x1000;

  private static final int TEN = 10;

  /** The text that was read last. */
  final Place text;

  /**
   * {@code read(tid, tail)}: reads a file of a thread into {@link #text}; its length, 0 where it is
   * gone.
   */
  final Routine read;

  /** {@code number(address)}: the decimal number there. */
  final Routine number;

  /** {@code field(n)}: address of the n-th field of a stat file in {@link #text}, from 3. */
  final Routine field;

  /** {@code find(word)}: address behind the first eight bytes like these in {@link #text}, or 0. */
  final Routine find;

  private final Emitter emitter;
  private final Assembler assembler;
  private final Slot length;

  /**
   * @param scratch offset of {@link #SCRATCH_SIZE} bytes of scratch memory
   */
  ThreadFiles(Emitter emitter, Assembler assembler, ProcFiles files, int scratch) {
    this.emitter = emitter;
    this.assembler = assembler;
    text = new Place(scratch);
    length = emitter.variable();
    read = read(files, emitter.variable(), emitter.variable(), emitter.variable());
    number = number(emitter.variable(), emitter.variable(), emitter.variable());
    Slot n = emitter.variable();
    field = emitter.declare("field", n);
    emitter.define(
        field,
        "a field of a stat file; names may hold anything, so from the last parenthesis on",
        () -> field(n));
    find = find(emitter.variable(), emitter.variable(), emitter.variable());
  }

  /** Where the text that was read last ends. */
  Value end() {
    return text.plus(length);
  }

  /**
   * The kernel finds a name below an open directory, which it has listed, in half the time that it
   * takes for a path from the root.
   */
  private Routine read(ProcFiles files, Slot tid, Slot tail, Slot fd) {
    Routine sibling = files.sibling();
    Routine taskPath = files.taskPath();
    Routine readPath =
        emitter.routine(
            "readPath",
            "read the file of the path",
            ImmutableList.of(),
            () -> {
              emitter.set(length, 0);
              emitter.set(fd, files.open.of(Value.of(Sys.O_CLOEXEC)));
              emitter.when(
                  fd.isGreater(-1),
                  () -> {
                    emitter.set(
                        length, Emitter.call(Sys.READ, fd, text, Value.of(SCRATCH_SIZE - 1)));
                    emitter.system(Sys.CLOSE, fd);
                  });
              emitter.when(length.isLess(0), () -> emitter.set(length, 0));
              emitter.store(text.plus(length), 0, 1, Value.of(0));
              emitter.give(length);
            });
    return emitter.routine(
        "read",
        "read a file of a thread",
        ImmutableList.of(tid, tail),
        () -> {
          emitter.run(sibling, tid, tail);
          emitter.when(readPath.of().isNot(0), () -> emitter.give(length));
          emitter.note("it has ended, or is of another process that shares the memory");
          emitter.run(taskPath, tid, tail);
          emitter.give(readPath.of());
        });
  }

  private Routine number(Slot at, Slot value, Slot end) {
    return emitter.routine(
        "number",
        "the decimal number at an address",
        ImmutableList.of(at),
        () -> {
          emitter.set(value, 0);
          emitter.set(end, at);
          emitter.loop(
              () -> {
                emitter.when(
                    Emitter.either(
                        end.byteAt(0).isBelow(Value.of('0')), end.byteAt(0).isGreater('9')),
                    () -> emitter.give(value));
                emitter.set(value, value.times(TEN).plus(end.byteAt(0)).minus('0'));
                emitter.add(end, 1);
              });
        });
  }

  private void field(Slot n) {
    Label back = new Label();
    Label forth = new Label();
    Label none = new Label();
    assembler.address(Register.RDI, Emitter.BASE, text.offset());
    assembler.move(Register.RSI, Register.RDI);
    assembler.operate(Operation.ADD, Register.RSI, Emitter.BASE, length.offset());
    assembler.place(back);
    assembler.operate(Operation.SUB, Register.RSI, 1);
    assembler.operate(Operation.CMP, Register.RSI, Register.RDI);
    assembler.jump(Condition.BELOW, none);
    assembler.load(Register.RAX, Register.RSI, 0, 1);
    assembler.operate(Operation.CMP, Register.RAX, ')');
    assembler.jump(Condition.NOT_EQUAL, back);
    emitter.note("the second field ends here; each ends with a space");
    assembler.load(Register.RCX, Emitter.BASE, n.offset(), n.width());
    assembler.operate(Operation.SUB, Register.RCX, 2);
    assembler.place(forth);
    assembler.load(Register.RAX, Register.RSI, 0, 1);
    assembler.operate(Operation.CMP, Register.RAX, 0);
    assembler.jump(Condition.EQUAL, none);
    assembler.operate(Operation.ADD, Register.RSI, 1);
    assembler.operate(Operation.CMP, Register.RAX, ' ');
    assembler.jump(Condition.NOT_EQUAL, forth);
    assembler.operate(Operation.SUB, Register.RCX, 1);
    assembler.jump(Condition.NOT_EQUAL, forth);
    assembler.move(Register.RAX, Register.RSI);
    assembler.ret();
    assembler.place(none);
  }

  private Routine find(Slot word, Slot at, Slot last) {
    return emitter.routine(
        "findText",
        "behind eight bytes of the text",
        ImmutableList.of(word),
        () -> {
          emitter.set(at, text);
          emitter.set(last, text.plus(length).minus(Long.BYTES));
          emitter.loopWhile(
              at.isBelow(last),
              () -> {
                emitter.when(at.at(0).is(word), () -> emitter.give(at.plus(Long.BYTES)));
                emitter.add(at, 1);
              });
        });
  }
}
