package io.github.textpoke.x86.probe;

import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Register;

/** What tells a body which thread runs it. */
enum ThreadKey {
  /**
   * The word at fs:0, which holds its own address in every thread of a program with a C library
   * (psABI, 3.4.6: what the code of initial-exec variables begins with). A nanosecond.
   */
  POINTER {
    @Override
    void read(Assembler code, Register to) {
      code.threadPointer(to);
    }
  },
  /**
   * The base of fs by RDFSBASE: also where there is no control block, or none yet. 0 there. Three
   * nanoseconds.
   */
  BASE {
    @Override
    void read(Assembler code, Register to) {
      code.threadBase(to);
    }
  };

  abstract void read(Assembler code, Register to);
}
