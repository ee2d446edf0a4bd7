package io.github.textpoke.decode;

/** What an instruction does to the flow of control: all that a patcher needs to know of it. */
public enum Flow {
  /** The next instruction is the one behind it. */
  NEXT,
  /** As {@link #NEXT}, and nothing else changes: a no-operation of any encoding. */
  NOP,
  /** A marker of an allowed target of an indirect branch (ENDBR64); else it does nothing. */
  LANDING_PAD,
  /** A direct jump. */
  JUMP,
  /** A direct jump on a condition of the flags. */
  CONDITIONAL_JUMP,
  /** A direct jump on a counter register: loop, loope, loopne, jrcxz. */
  COUNTER_JUMP,
  /** A direct near call. */
  CALL,
  /** A jump to an address from a register or memory. */
  INDIRECT_JUMP,
  /** A call of an address from a register or memory. */
  INDIRECT_CALL,
  /** A near return. */
  RETURN,
  /** A far call, jump or return, or a return from an interrupt. */
  FAR,
  /** Entry to the kernel by a system call instruction. */
  SYSTEM_CALL,
  /** A software interrupt other than the one-byte breakpoint. */
  INTERRUPT,
  /** The one-byte breakpoint, int3. */
  BREAKPOINT,
  /** Starts a transaction, with a direct target for its failure (XBEGIN). */
  TRANSACTION,
  /** Never completes in user mode: an instruction that always faults (ud2, hlt). */
  FAULT;

  /** Whether control never reaches the instruction behind it by itself. */
  public boolean endsFlow() {
    return this == JUMP || this == INDIRECT_JUMP || this == RETURN || this == FAULT;
  }

  /** Whether it has a target that stands in the instruction itself. */
  public boolean hasDirectTarget() {
    return switch (this) {
      case JUMP, CONDITIONAL_JUMP, COUNTER_JUMP, CALL, TRANSACTION -> true;
      default -> false;
    };
  }
}
