package io.github.textpoke.x86.decode;

import io.github.textpoke.decode.Undecodable;

/** Reads an instruction behind an EVEX escape, 62: SDM volume 2, chapter 2.7. */
final class EvexForm {
  private static final int[] POLICIES = new EvexTable().policies;
  private static final int UNUSED = 15;

  private EvexForm() {}

  /**
   * Reads one instruction.
   *
   * @param at of the byte behind the escape
   * @return see {@link VectorForm}
   */
  static long decode(byte[] bytes, int at) {
    int p0 = bytes[at];
    int p1 = bytes[at + 1];
    int p2 = bytes[at + 2];
    int opcode = bytes[at + 3] & 0xff;
    int modrm = bytes[at + 4] & 0xff;
    int next = at + 5;
    if ((p1 & 4) == 0) { // MVEX
      return VectorForm.refused(2, Undecodable.DROPPED_EXTENSION);
    }
    if ((p0 & 8) != 0) {
      return VectorForm.refused(1, Undecodable.UNKNOWN);
    }
    int row = EvexTable.index(p0 & 7, opcode, p1 & 3, p1 >> 7 & 1, modrm >= 0xc0);
    int reg = 1 << EvexTable.REGS_SHIFT + (modrm >> 3 & 7);
    int policy = (POLICIES[row] & reg) != 0 ? POLICIES[row] : POLICIES[row + 1];
    if ((policy & reg) == 0 || !allows(policy, p0, p1, p2, modrm, bytes[next])) {
      boolean readSib = (policy & EvexTable.VECTOR_OF_ADDRESSES) != 0 && (modrm & 7) == 4;
      return VectorForm.refused(readSib ? 6 : 5, Undecodable.UNKNOWN);
    }
    int displacementAt = Memory.OPERANDS[modrm] == Memory.RIP_RELATIVE ? 5 : 0;
    int immediate = (policy & EvexTable.IMMEDIATE) != 0 ? 1 : 0;
    return VectorForm.valid(5 + Memory.size(bytes, next, modrm) + immediate, displacementAt);
  }

  /** What {@link EvexTable} says; R, X, R', vvvv and V' come inverted. */
  private static boolean allows(int policy, int p0, int p1, int p2, int modrm, int sib) {
    int lengths = EvexTable.LENGTHS_SHIFT;
    if ((p2 & 0x10) != 0) {
      lengths = EvexTable.B_LENGTHS_SHIFT;
    }
    if ((policy >> lengths + (p2 >> 5 & 3) & 1) == 0) {
      return false;
    }
    boolean highVvvv = (p2 & 8) == 0;
    boolean addresses = (policy & EvexTable.VECTOR_OF_ADDRESSES) != 0;
    if ((policy & EvexTable.VVVV) == 0 && ((p1 >> 3 & 15) != UNUSED || highVvvv && !addresses)) {
      return false;
    }
    int mask = p2 & 7;
    int maskPolicy = mask == 0 ? EvexTable.MASK_REQUIRED : EvexTable.MASK;
    if ((policy & maskPolicy) != 0 == (mask == 0)
        || (p2 & 0x80) != 0 && (mask == 0 || (policy & EvexTable.ZEROING) == 0)) {
      return false;
    }
    boolean lowReg = (p0 & 0x80) != 0; // R
    boolean lowReg16 = (p0 & 0x10) != 0; // R'
    if ((policy & (EvexTable.REG_IS_MASK | EvexTable.REG_IS_GENERAL)) != 0
        && (!lowReg16 || (policy & EvexTable.REG_IS_MASK) != 0 && !lowReg)) {
      return false;
    }
    if (addresses && (modrm & 7) != 4) {
      return false;
    }
    if ((policy & EvexTable.DISTINCT) == 0) {
      return true;
    }
    int destination = modrm >> 3 & 7 | (lowReg ? 0 : 8) | (lowReg16 ? 0 : 16);
    if (addresses) {
      return destination != (sib >> 3 & 7 | ((p0 & 0x40) != 0 ? 0 : 8) | (highVvvv ? 16 : 0));
    }
    int first = ~p1 >> 3 & 15 | (highVvvv ? 16 : 0);
    int second = modrm & 7 | ((p0 & 0x20) != 0 ? 0 : 8) | ((p0 & 0x40) != 0 ? 0 : 16);
    return destination != first && (modrm < 0xc0 || destination != second);
  }
}
