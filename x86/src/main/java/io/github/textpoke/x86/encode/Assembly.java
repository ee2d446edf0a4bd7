package io.github.textpoke.x86.encode;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;

/**
 * A replacement whose bytes depend on where it stands: one instruction, and behind it only padding
 * that no thread can reach. Immutable and thread-safe; made without a process.
 *
 * <p>A short replacement is made as long as the site, never by a NOP behind it: between the two
 * would be a boundary at which a thread may stand when the patch is undone (rule 11). So
 *
 * <ul>
 *   <li>behind an instruction that never goes on to the next one (jmp, ret, ud2) stands int3, as in
 *       the kernel's {@code __smp_text_poke_batch_add};
 *   <li>any other gets {@code cs} prefixes, which 64-bit mode ignores (SDM vol. 2, 2.1.1; the
 *       kernel emits {@code cs call} in the same way);
 *   <li>a NOP is one NOP of the right length.
 * </ul>
 */
public sealed interface Assembly permits Jump, Call, Nop, Given {
  /**
   * {@code jmp target}: five bytes, or two where the site is shorter than five and the target is
   * near.
   *
   * @param target absolute
   */
  static Assembly jmp(long target) {
    return new Jump(target);
  }

  /**
   * {@code call target}. At a function's entry the stack pointer is 8 modulo 16; a call placed
   * there enters its target with 0 modulo 16, so the target must be written for that.
   *
   * @param target absolute
   */
  static Assembly call(long target) {
    return new Call(target);
  }

  /** {@code ret}. */
  static Assembly ret() {
    return new Given(CodeBytes.of(0xc3));
  }

  /** One NOP as long as the site. */
  static Assembly nop() {
    return new Nop();
  }

  /**
   * Exactly one instruction of the user's, taken as it is: what it holds relative to its own
   * address, a branch displacement or a RIP-relative operand, is taken as meant for the site.
   *
   * @param instruction 1 to 15 bytes; int3 may stand behind a jmp or ret
   */
  static Assembly bytes(CodeBytes instruction) {
    return new Given(instruction);
  }

  /**
   * The length in bytes of the shortest form at {@code address}.
   *
   * @param address absolute
   */
  int shortest(long address);

  /**
   * The bytes for a site: one instruction, and padding that no thread reaches.
   *
   * @param address absolute address of the first byte
   * @param length how many bytes, 1 to 15
   * @return exactly {@code length} bytes
   * @throws PlanRefusedException by rule 7 if {@code length} is less than {@link #shortest}, by
   *     rule 3 if it can't be padded, by rule 11 if the given bytes are not one instruction, by
   *     rule 13 if a target is out of reach
   */
  CodeBytes at(long address, int length);
}
