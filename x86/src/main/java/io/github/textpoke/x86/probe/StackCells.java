package io.github.textpoke.x86.probe;

import io.github.textpoke.x86.probe.ProbeCode.Piece;
import io.github.textpoke.x86.target.Assembler;
import io.github.textpoke.x86.target.Assembler.Label;
import io.github.textpoke.x86.target.Assembler.Operation;
import io.github.textpoke.x86.target.Assembler.Register;

/**
 * Cells, one for each place on a stack that a return address may be at: what an entry notes for the
 * exit of the same call, which finds it because rsp points to the same place. Which cell is that of
 * a place: its page of the stack chooses a group by a hash, its place in the page the cell in the
 * group, where the hash too has a say: threads begin at the same place of their pages. Places that
 * are not of the same page may share a cell.
 *
 * @param groups how many there are, a power of two
 * @param cell bytes of a cell, a power of two from 32 on
 */
record StackCells(int groups, int cell) {
  private static final int PAGE_SHIFT = 12;

  /** Bits of the product of page and factor from here on choose the group. */
  private static final int HASH_SHIFT = 20;

  /** Return addresses are 16 bytes apart at least, where code keeps the ABI. */
  private static final int APART = 16;

  /** Of an address in a page, without the four lowest bits. */
  private static final int IN_PAGE = 0xff0;

  /** Bytes of a group: a power of two. */
  int group() {
    return (1 << PAGE_SHIFT) / APART * cell;
  }

  /** Bytes of all. */
  long size() {
    return (long) groups * group();
  }

  /**
   * RCX: the cell of the place where rsp points to. Changes RDX.
   *
   * @param cells where the absolute address of the first one stands
   */
  void find(Piece piece, Label cells) {
    Assembler code = piece.code();
    code.move(Register.RCX, Register.RSP);
    code.shiftRight(Register.RCX, PAGE_SHIFT);
    code.multiply(Register.RCX, ProbeCode.FACTOR);
    code.shiftRight(Register.RCX, HASH_SHIFT - Integer.numberOfTrailingZeros(group()));
    code.operate(Operation.AND, Register.RCX, groups * group() - cell);
    code.move(Register.RDX, Register.RSP);
    code.operate(Operation.AND, Register.RDX, IN_PAGE);
    code.shiftLeft(Register.RDX, Integer.numberOfTrailingZeros(cell / APART));
    code.operate(Operation.XOR, Register.RCX, Register.RDX);
    code.operate(Operation.ADD, Register.RCX, piece.here(cells));
  }
}
