package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.plan.X86Planner;
import io.github.textpoke.x86.probe.ProbeCode.Counting;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Register;
import java.io.ByteArrayOutputStream;
import java.util.function.LongFunction;

/**
 * Writes the code of a probe that counts: {@link ProbeCode}, and behind it a slot for each
 * function. Of one thread.
 *
 * <p>A slot is entered by the jump at the function's entry, by any thread, again from a signal
 * handler.
 *
 * <ol>
 *   <li>It begins with a NOP of five bytes: a jump in its place leads past the body.
 *   <li>rax and rcx are kept below the stack pointer, in the red zone, where nothing is live at a
 *       function's entry (psABI 3.2.2); so rsp stays, and the return address is where an unwinder
 *       looks for it, but in the few nanoseconds in which a row is searched. All other registers
 *       are as they were. The flags are not: no function gets anything in them (psABI 3.2.3).
 *   <li>It has no loop but that of the search, which ends after {@value ProbeCode#TRIES} entries;
 *       it takes no lock and makes no system call. It calls and returns in pairs: shadow stacks
 *       stay right.
 *   <li>Where it stands inside of a function, all is live: it leaves the red zone alone, and puts
 *       the flags back.
 *   <li>It counts by one instruction, so a call that a signal interrupts is counted once.
 * </ol>
 */
final class ProbeWriter {
  /** Bytes of the part before the slots. */
  static final int HEAD = 192;

  /** Bytes of a slot without a condition. */
  static final int SLOT = 192;

  private static final int ALIGNMENT = 16;

  /** lea rsp, [rsp-128]; pushfq. */
  private static final CodeBytes BEHIND_RED_ZONE = CodeBytes.ofHex("488d6424809c");

  /** popfq; lea rsp, [rsp+128]. */
  private static final CodeBytes BACK = CodeBytes.ofHex("9d488da42480000000");

  private final long base;
  private final CallCondition condition;
  private final boolean isShared;
  private final ProbeCode shared;
  private final ByteArrayOutputStream written = new ByteArrayOutputStream();

  /**
   * @param base absolute address of the code
   * @param data absolute address of the counters
   * @param condition which calls are counted
   * @param isShared whether forked children count there too: threads of theirs may be taken for one
   *     of the program's, since a child's thread has the address of that which has forked it
   */
  ProbeWriter(
      long base,
      long data,
      CounterTable table,
      CallCondition condition,
      ThreadKey key,
      boolean isShared) {
    this.base = base;
    this.condition = condition;
    this.isShared = isShared;
    this.shared = new ProbeCode(base, data, table, key);
    written.writeBytes(shared.bytes(HEAD).toByteArray());
  }

  /** Bytes of a slot. */
  static int slotSize(CallCondition condition) {
    return SLOT + (ConditionCode.size(condition) + ALIGNMENT - 1 & -ALIGNMENT);
  }

  /** Absolute address of the next slot. */
  long nextSlot() {
    return base + written.size();
  }

  /**
   * Writes a slot.
   *
   * @param function its place among the functions, from 0
   * @param isInside whether flags and red zone may be in use
   * @param copy what the jump has displaced and the way back, for an absolute address
   * @return the absolute address of that
   */
  long slot(int function, boolean isInside, LongFunction<CodeBytes> copy) {
    ProbeCode.Piece piece = shared.new Piece(nextSlot());
    Assembler code = piece.code();
    Counting counting = piece.counting(function, isShared);
    code.nopForJump();
    if (isInside) {
      code.raw(BEHIND_RED_ZONE.toByteArray());
    }
    code.store(Register.RSP, ProbeCode.SAVED_RAX, Register.RAX, Long.BYTES);
    code.store(Register.RSP, ProbeCode.SAVED_RCX, Register.RCX, Long.BYTES);
    ConditionCode.write(code, condition, counting.counted);
    counting.count();
    code.load(Register.RCX, Register.RSP, ProbeCode.SAVED_RCX, Long.BYTES);
    code.load(Register.RAX, Register.RSP, ProbeCode.SAVED_RAX, Long.BYTES);
    if (isInside) {
      code.raw(BACK.toByteArray());
    }
    long copied = nextSlot() + code.size();
    code.raw(copy.apply(copied).toByteArray());
    counting.elsewhere();
    int size = slotSize(condition);
    if (code.size() > size) {
      throw new IllegalStateException("a slot of %d bytes in %d".formatted(code.size(), size));
    }
    written.writeBytes(piece.bytes().toByteArray());
    written.writeBytes(CodeBytes.filled(size - code.size(), X86Planner.INT3).toByteArray());
    return copied;
  }

  /** All that was written. */
  CodeBytes bytes() {
    return CodeBytes.of(written.toByteArray());
  }
}
