package io.github.textpoke.x86.relocate;

import io.github.textpoke.CodeBytes;

/** One instruction of an out-of-line copy, before it has an address. */
sealed interface Part {
  /** As it will stand there; a displacement that depends on the address is zero. */
  CodeBytes bytes();

  /**
   * How many bytes more than at the old instruction are on the stack when this one is about to run.
   */
  int pushed();

  /** As it will stand there, with what {@code displacements} says. */
  CodeBytes at(Displacements displacements);

  /** The displacements, four bytes each, from the end of one part at its address. */
  interface Displacements {
    /** To an absolute address outside of the displaced code. */
    CodeBytes toAddress(long target);

    /** To the copy of the displaced instruction that stood at an absolute address. */
    CodeBytes toCopyOf(long boundary);
  }

  /** Does the same anywhere. */
  record Fixed(CodeBytes bytes, int pushed) implements Part {
    @Override
    public CodeBytes at(Displacements displacements) {
      return bytes;
    }
  }

  /**
   * Names an address outside of the displaced code.
   *
   * @param hole offset of the displacement
   * @param target absolute
   */
  record ToAddress(CodeBytes bytes, int hole, long target, int pushed) implements Part {
    @Override
    public CodeBytes at(Displacements displacements) {
      return bytes.with(hole, displacements.toAddress(target));
    }
  }

  /**
   * Jumps to a displaced instruction, so to its copy.
   *
   * @param hole offset of the displacement
   * @param target absolute address of the old instruction
   */
  record ToCopy(CodeBytes bytes, int hole, long target, int pushed) implements Part {
    @Override
    public CodeBytes at(Displacements displacements) {
      return bytes.with(hole, displacements.toCopyOf(target));
    }
  }
}
