package io.github.textpoke.elf;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;

/**
 * How a frame's caller is found from one place in code on, up to the next row: a row of the table
 * that call frame information stands for (DWARF 4, section 6.4). Registers have their DWARF
 * numbers. Immutable and thread-safe.
 *
 * @param start link-time address of the first byte that it holds for
 * @param cfa where the canonical frame address is: by convention, the stack pointer that the caller
 *     will have
 * @param registers what the registers were when the function was called; one that is missing has no
 *     rule, and what then holds is for the calling convention to say
 * @param returnAddress the number that stands for the return address
 * @param isSignalFrame whether the kernel calls this code, in the midst of other code: the return
 *     address is then the next instruction to run, not one behind a call
 */
public record FrameRow(
    long start,
    CfaRule cfa,
    ImmutableMap<Integer, RegisterRule> registers,
    int returnAddress,
    boolean isSignalFrame) {

  /** How the canonical frame address is found. */
  public sealed interface CfaRule {}

  /**
   * It is a register plus a number of bytes.
   *
   * @param register DWARF number
   * @param offset bytes
   */
  public record CfaOffset(int register, long offset) implements CfaRule {}

  /**
   * It is what an expression yields.
   *
   * @param expression as DWARF 4, section 2.5, has it; not checked
   */
  public record CfaExpression(CodeBytes expression) implements CfaRule {}

  /** What a register was when the function was called. */
  public sealed interface RegisterRule {}

  /**
   * It can't be known. Where that is the return address, nobody has called: the outermost frame.
   */
  public record Undefined() implements RegisterRule {}

  /** What it is now. */
  public record SameValue() implements RegisterRule {}

  /**
   * It was saved.
   *
   * @param offset bytes, to add to the canonical frame address
   */
  public record SavedAt(long offset) implements RegisterRule {}

  /**
   * It is the canonical frame address plus a number of bytes.
   *
   * @param offset bytes
   */
  public record ValueOf(long offset) implements RegisterRule {}

  /**
   * It is in another register.
   *
   * @param register DWARF number
   */
  public record InRegister(int register) implements RegisterRule {}

  /**
   * It was saved where an expression says; the canonical frame address is on its stack beforehand.
   *
   * @param expression not checked
   */
  public record SavedWhere(CodeBytes expression) implements RegisterRule {}

  /**
   * It is what an expression yields; the canonical frame address is on its stack beforehand.
   *
   * @param expression not checked
   */
  public record ValueBy(CodeBytes expression) implements RegisterRule {}
}
