package io.github.textpoke.unwind;

import java.util.Optional;

/** Tells of code that we have made in a target, which no call frame information describes. */
@FunctionalInterface
public interface OwnCode {
  /** There is none. */
  OwnCode NONE = (pc, isReturnAddress) -> Optional.empty();

  /** How the caller of code of ours is found. */
  sealed interface Stand {}

  /**
   * The return address lies on the stack; preserved registers are as the caller left them.
   *
   * @param depth bytes of the stack below the return address: 0 as at a function's entry
   */
  record AtDepth(long depth) implements Stand {}

  /**
   * Stack and registers are as at other code, of which this is a copy.
   *
   * @param address absolute, of the same instruction there, or behind the same call
   */
  record Like(long address) implements Stand {}

  /**
   * How the caller is found from {@code pc}; empty where that is no code of ours.
   *
   * @param pc absolute
   * @param isReturnAddress whether {@code pc} is behind a call that is under way, so it may lie
   *     behind the last byte of the code that called; else it is the next instruction to run
   */
  Optional<Stand> at(long pc, boolean isReturnAddress);
}
