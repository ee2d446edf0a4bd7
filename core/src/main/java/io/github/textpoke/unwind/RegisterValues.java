package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableMap;

/**
 * What is known of a thread's registers.
 *
 * @param pc absolute address of the next instruction
 * @param values by DWARF number; the stack pointer must be among them, others may be missing
 */
public record RegisterValues(long pc, ImmutableMap<Integer, Long> values) {
  /**
   * Of a thread of which only these two are known: one that is blocked in a system call.
   *
   * @param pc absolute address where it goes on
   * @param stackPointer absolute
   */
  public static RegisterValues of(CallConvention convention, long pc, long stackPointer) {
    return new RegisterValues(pc, ImmutableMap.of(convention.stackPointer(), stackPointer));
  }
}
