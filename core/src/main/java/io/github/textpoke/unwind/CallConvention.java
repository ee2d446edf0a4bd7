package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableSet;

/**
 * What holds for registers that call frame information has no rule for. Registers have their DWARF
 * numbers.
 *
 * @param stackPointer the one that is the canonical frame address after a return, unless there is a
 *     rule for it
 * @param preserved those that a function leaves as they were; without a rule they are that now
 */
public record CallConvention(int stackPointer, ImmutableSet<Integer> preserved) {
  /**
   * That of all x86-64 programs on Linux: rsp, and rbx, rbp, r12 to r15 (System V ABI, AMD64
   * supplement, figures 3.4 and 3.36).
   */
  public static final CallConvention AMD64 =
      new CallConvention(7, ImmutableSet.of(3, 6, 12, 13, 14, 15));
}
