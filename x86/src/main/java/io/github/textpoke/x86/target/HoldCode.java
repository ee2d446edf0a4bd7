package io.github.textpoke.x86.target;

import io.github.textpoke.apply.internal.HoldLayout;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * The code in which a program waits before its first instruction, and once more when its loader is
 * done. It makes no system call but nanosleep, and goes on by itself when nobody counts {@link
 * HoldLayout#BEAT} on.
 *
 * <p>At a program's entry all general registers are zero but RSP (fs/binfmt_elf.c, ELF_PLAT_INIT of
 * x86), and below RSP is nothing. What the loader calls is a C function, which may change RAX, RCX,
 * RDX, RSI, RDI, and R8 to R11.
 */
final class HoldCode {
  private static final int WORD = 8;
  private static final int INT = 4;

  /** States of the loader: RT_CONSISTENT and RT_ADD of link.h. */
  private static final int CONSISTENT = 0;

  private static final int ADD = 1;
  private static final byte[] INT3 = {(byte) 0xcc};

  /** What the code at the entry changes. */
  private static final Register[] CHANGED = {
    Register.RAX,
    Register.RCX,
    Register.RDX,
    Register.RSI,
    Register.RDI,
    Register.R8,
    Register.R9,
    Register.R11
  };

  private final Assembler code;
  private final long pages;

  private HoldCode(Assembler code, long pages) {
    this.code = code;
    this.pages = pages;
  }

  static byte[] emit(Assembler code, long pages) {
    HoldCode hold = new HoldCode(code, pages);
    hold.atEntry();
    while (code.size() < HoldLayout.LOADER) {
      code.raw(INT3);
    }
    hold.whenLoaded();
    return code.toByteArray();
  }

  private void atEntry() {
    code.note("entry: the program waits before its first instruction");
    code.move(Register.RDX, pages);
    waitFor(HoldLayout.AT_ENTRY);
    code.load(Register.RAX, Register.RDX, HoldLayout.START, WORD);
    code.push(Register.RAX);
    for (Register each : CHANGED) {
      code.move(each, 0);
    }
    code.ret();
  }

  private void whenLoaded() {
    Label consistent = new Label();
    Label back = new Label();
    code.note("loader: it says how far it is, and waits when it has loaded all");
    code.move(Register.RDX, pages);
    code.load(Register.RAX, Register.RDX, HoldLayout.STATE, WORD);
    code.load(Register.RAX, Register.RAX, 0, INT);
    code.operate(Operation.CMP, Register.RAX, CONSISTENT);
    code.jump(Condition.EQUAL, consistent);
    code.operate(Operation.CMP, Register.RAX, ADD);
    code.jump(Condition.NOT_EQUAL, back);
    code.store(Register.RDX, HoldLayout.LOADING, Register.RAX, WORD);
    code.ret();
    code.place(consistent);
    code.note("before it begins to load nothing is said of the program's objects");
    code.load(Register.RAX, Register.RDX, HoldLayout.LOADING, WORD);
    code.operate(Operation.CMP, Register.RAX, ADD);
    code.jump(Condition.NOT_EQUAL, back);
    waitFor(HoldLayout.AT_LOADED);
    code.place(back);
    code.ret();
  }

  /** RDX: the pages. R8: the beat that was seen; R9: looks that are left. */
  private void waitFor(int moment) {
    Label look = new Label();
    Label beats = new Label();
    Label sleep = new Label();
    Label over = new Label();
    code.move(Register.RAX, moment);
    code.store(Register.RDX, HoldLayout.ARRIVED, Register.RAX, WORD);
    code.place(beats);
    code.load(Register.R8, Register.RDX, HoldLayout.BEAT, WORD);
    code.move(Register.R9, HoldLayout.MOST_PAUSES);
    code.place(look);
    code.load(Register.RAX, Register.RDX, HoldLayout.GO, WORD);
    code.operate(Operation.CMP, Register.RAX, moment);
    code.jump(Condition.NOT_LESS, over);
    code.operate(Operation.CMP, Register.R8, Register.RDX, HoldLayout.BEAT);
    code.jump(Condition.NOT_EQUAL, beats);
    code.operate(Operation.SUB, Register.R9, 1);
    code.jump(Condition.NOT_EQUAL, sleep);
    code.note("nobody is there any more");
    code.move(Register.RAX, moment);
    code.store(Register.RDX, HoldLayout.LATE, Register.RAX, WORD);
    code.note("nor at the next wait, nor each time that the loader has loaded something");
    code.move(Register.RAX, HoldLayout.AT_LOADED);
    code.store(Register.RDX, HoldLayout.GO, Register.RAX, WORD);
    code.jump(over);
    code.place(sleep);
    code.address(Register.RDI, Register.RDX, HoldLayout.PAUSE);
    code.move(Register.RSI, 0);
    code.move(Register.RAX, Sys.NANOSLEEP);
    code.syscall();
    code.jump(look);
    code.place(over);
  }
}
