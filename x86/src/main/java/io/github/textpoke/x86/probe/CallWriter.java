package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.detour.OutsideCall;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.ProbeCode.Counting;
import io.github.textpoke.x86.probe.ProbeCode.Piece;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Register;
import java.io.ByteArrayOutputStream;
import java.util.function.LongFunction;

/**
 * Writes the code of a probe that counts and calls a function of the user's. Of one thread.
 *
 * <p>It counts as {@link ProbeWriter} does. Then it makes a frame, {@code push rbp; mov rbp, rsp},
 * so that the return address is at rbp + 8 within it, saves what a C function may change, and
 * calls. rbp, the flags and the registers below them are the struct that the callee gets: what it
 * writes there is what is restored.
 */
final class CallWriter {
  /** Bytes of the part before the slots. */
  static final int HEAD = ProbeWriter.HEAD;

  /** The most bytes of a slot, without condition and what was displaced. */
  static final int SLOT = 512;

  /** In the order in which they are pushed, behind rbp and the flags. */
  private static final ImmutableList<Register> SAVED =
      ImmutableList.of(
          Register.R11,
          Register.R10,
          Register.RAX,
          Register.R9,
          Register.R8,
          Register.RCX,
          Register.RDX,
          Register.RSI,
          Register.RDI);

  /** Bytes below rbp. */
  private static final int DEPTH = (1 + SAVED.size()) * Long.BYTES;

  private final long base;
  private final CallCondition condition;
  private final long callee;
  private final ProbeCode shared;
  private final ByteArrayOutputStream written = new ByteArrayOutputStream();

  /**
   * @param base absolute address of the code
   * @param data absolute address of the counters
   * @param condition which calls are counted and told of
   * @param callee absolute address of the user's function
   */
  CallWriter(
      long base,
      long data,
      CounterTable table,
      CallCondition condition,
      ThreadKey key,
      long callee) {
    this.base = base;
    this.condition = condition;
    this.callee = callee;
    this.shared = new ProbeCode(base, data, table, key);
    written.writeBytes(shared.bytes(HEAD).toByteArray());
  }

  /** Absolute address of the next slot. */
  long nextSlot() {
    return base + written.size();
  }

  /**
   * Writes a slot.
   *
   * @param function its place among the functions, from 0
   * @param copy what the jump has displaced and the way back, for an absolute address
   * @return the absolute address of that
   */
  long slot(int function, LongFunction<CodeBytes> copy) {
    Piece piece = shared.new Piece(nextSlot());
    Assembler code = piece.code();
    Counting counting = piece.counting(function, false);
    Label fails = new Label();
    Label on = new Label();
    code.nopForJump();
    save(code);
    ConditionCode.write(code, condition, fails);
    counting.count();
    restore(code);
    call(code);
    code.place(on);
    long copied = nextSlot() + code.size();
    code.raw(copy.apply(copied).toByteArray());
    counting.elsewhere();
    code.place(fails);
    restore(code);
    code.jump(on);
    written.writeBytes(piece.bytes().toByteArray());
    int gap = -written.size() & EndsWriter.ALIGNMENT - 1;
    written.writeBytes(CodeBytes.filled(gap, X86Planner.INT3).toByteArray());
    return copied;
  }

  private void call(Assembler code) {
    code.push(Register.RBP);
    code.move(Register.RBP, Register.RSP);
    code.pushFlags();
    SAVED.forEach(code::push);
    new OutsideCall(code, DEPTH)
        .emit(callee, () -> code.address(Register.RDI, Register.RBP, -DEPTH), () -> {});
    SAVED.reverse().forEach(code::pop);
    code.popFlags();
    code.pop(Register.RBP);
  }

  private static void save(Assembler code) {
    code.store(Register.RSP, ProbeCode.SAVED_RAX, Register.RAX, Long.BYTES);
    code.store(Register.RSP, ProbeCode.SAVED_RCX, Register.RCX, Long.BYTES);
  }

  private static void restore(Assembler code) {
    code.load(Register.RCX, Register.RSP, ProbeCode.SAVED_RCX, Long.BYTES);
    code.load(Register.RAX, Register.RSP, ProbeCode.SAVED_RAX, Long.BYTES);
  }

  /** All that was written. */
  CodeBytes bytes() {
    return CodeBytes.of(written.toByteArray());
  }
}
