package io.github.textpoke.x86.target;

import io.github.textpoke.apply.internal.CallLayout;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * The code that calls one function of the target as the ABI asks: the stack is aligned, the vector
 * unit and the x87 unit are as at the start of a program, whatever the thread had there that it was
 * cloned from. RBX holds the memory all the time, since every function preserves it.
 */
final class CallerTask {
  private static final int EXIT = Sys.EXIT;
  private static final int WORD = 8;
  private static final int ALL_COMPONENTS = -1;
  private static final byte[] INT3 = {(byte) 0xcc};
  private static final byte[] IRETQ = {0x48, (byte) 0xcf};

  /** In the order of {@link CallLayout#SAVED_REGISTERS}. */
  private static final Register[] SAVED = {
    Register.RAX,
    Register.RCX,
    Register.RDX,
    Register.RSI,
    Register.RDI,
    Register.R8,
    Register.R9,
    Register.R10,
    Register.R11
  };

  private CallerTask() {}

  static byte[] emit(Assembler assembler) {
    assembler.clearDirection();
    assembler.move(Register.RAX, ALL_COMPONENTS);
    assembler.move(Register.RDX, 0);
    assembler.restoreState(Register.RBX, CallLayout.STATE);
    callIfAny(assembler, CallLayout.BEGINNING);
    assembler.load(Register.RDI, Register.RBX, CallLayout.FIRST, WORD);
    assembler.load(Register.RSI, Register.RBX, CallLayout.SECOND, WORD);
    assembler.load(Register.RCX, Register.RBX, CallLayout.FUNCTION, WORD);
    // No vector arguments, should it take a variable number.
    assembler.move(Register.RAX, 0);
    assembler.call(Register.RCX);
    assembler.store(Register.RBX, CallLayout.RESULT, Register.RAX, WORD);
    callIfAny(assembler, CallLayout.END);
    assembler.move(Register.RAX, 1);
    assembler.store(Register.RBX, CallLayout.RETURNED, Register.RAX, WORD);
    assembler.move(Register.RDI, 0);
    assembler.move(Register.RAX, EXIT);
    assembler.syscall();
    assembler.undefined();
    while (assembler.size() < CallLayout.GATE) {
      assembler.raw(INT3);
    }
    gate(assembler);
    return assembler.toByteArray();
  }

  /** The clone, and what becomes of both threads where nobody traces them any more. */
  private static void gate(Assembler assembler) {
    Label borrowed = new Label();
    assembler.syscall();
    assembler.operate(Operation.CMP, Register.RAX, 0);
    assembler.jump(Condition.NOT_EQUAL, borrowed);
    assembler.move(Register.RDI, 0);
    assembler.move(Register.RAX, EXIT);
    assembler.syscall();
    assembler.place(borrowed);
    assembler.move(Register.RDI, Sys.SIG_SETMASK);
    assembler.address(Register.RSI, Register.RBX, CallLayout.SAVED_MASK);
    assembler.move(Register.RDX, 0);
    assembler.move(Register.R10, Sys.SIGSET_SIZE);
    assembler.move(Register.RAX, Sys.RT_SIGPROCMASK);
    assembler.syscall();
    for (int i = 0; i < SAVED.length; i++) {
      assembler.load(SAVED[i], Register.RBX, CallLayout.SAVED_REGISTERS + i * WORD, WORD);
    }
    assembler.load(Register.RSP, Register.RBX, CallLayout.SAVED_FRAME, WORD);
    assembler.pop(Register.RBX);
    assembler.raw(IRETQ);
  }

  private static void callIfAny(Assembler assembler, int function) {
    Label none = new Label();
    assembler.load(Register.RAX, Register.RBX, function, WORD);
    assembler.operate(Operation.CMP, Register.RAX, 0);
    assembler.jump(Condition.EQUAL, none);
    assembler.call(Register.RAX);
    assembler.place(none);
  }
}
