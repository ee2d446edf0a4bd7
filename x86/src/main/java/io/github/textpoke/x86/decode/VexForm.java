package io.github.textpoke.x86.decode;

import io.github.textpoke.decode.Undecodable;

/** Reads an instruction behind a VEX escape, c4 or c5: SDM volume 2, chapter 2.3.5. */
final class VexForm {
  private static final VexTable TABLE = new VexTable();
  private static final int UNUSED = 15;

  private VexForm() {}

  /**
   * Reads one instruction.
   *
   * @param at of the byte behind the escape
   * @param escape c4 or c5
   * @return see {@link VectorForm}
   */
  static long decode(byte[] bytes, int at, int escape) {
    int next = at;
    int extensions = bytes[next++]; // R, X, B inverted, then the map
    int map = 1;
    int rest = extensions & 0x7f; // vvvv inverted, L, pp: W is 0
    if (escape == 0xc4) {
      map = extensions & 31;
      rest = bytes[next++] & 0xff;
    } else {
      extensions |= 0x60;
    }
    int opcode = bytes[next++] & 0xff;
    if (map == 0 || map > 3) {
      return VectorForm.refused(next - at, Undecodable.UNKNOWN);
    }
    int row = VexTable.index(map, opcode, rest & 3);
    int limits = TABLE.limits[row];
    int modrm = (limits & VexTable.NO_MODRM) != 0 ? 0 : bytes[next++] & 0xff;
    int form = ((rest >> 2 & 1) << 1 | rest >> 7) << 4 | (modrm >= 0xc0 ? 8 : 0) | modrm >> 3 & 7;
    int vvvv = rest >> 3 & 15;
    if ((TABLE.forms[row] >>> form & 1) == 0
        || vvvv != UNUSED && (TABLE.vvvv[row] >>> form & 1) == 0
        || limits > VexTable.NO_MODRM + VexTable.IMMEDIATE
            && !keepsLimits(limits, extensions, vvvv, modrm, bytes[next])) {
      boolean readSib = (limits & VexTable.GATHER) != 0 && modrm < 0xc0 && (modrm & 7) == 4;
      return VectorForm.refused(next - at + (readSib ? 1 : 0), Undecodable.UNKNOWN);
    }
    int displacementAt = 0;
    if ((limits & VexTable.NO_MODRM) == 0) {
      displacementAt = Memory.OPERANDS[modrm] == Memory.RIP_RELATIVE ? next - at : 0;
      next += Memory.size(bytes, next, modrm);
    }
    return VectorForm.valid(next - at + (limits & VexTable.IMMEDIATE), displacementAt);
  }

  /** The limits of {@link VexTable}; R, X, B and vvvv come inverted. */
  private static boolean keepsLimits(int limits, int extensions, int vvvv, int modrm, int sib) {
    boolean lowReg = (extensions & 0x80) != 0;
    boolean lowRm = (extensions & 0x20) != 0;
    boolean lowVvvv = vvvv >= 8;
    int reg = modrm >> 3 & 7;
    int rm = modrm & 7;
    int third = ~vvvv & 15;
    if ((limits & (VexTable.LOW_REG | VexTable.TILES)) != 0 && !lowReg
        || (limits & (VexTable.LOW_VVVV | VexTable.TILES)) != 0 && !lowVvvv) {
      return false;
    }
    if ((limits & VexTable.TILES) != 0 && (!lowRm || reg == rm || reg == third || rm == third)) {
      return false;
    }
    if ((limits & VexTable.RM_ZERO) != 0 && modrm >= 0xc0 && rm != 0) {
      return false;
    }
    if ((limits & (VexTable.SIB_ONLY | VexTable.GATHER)) != 0 && rm != 4) {
      return false;
    }
    if ((limits & VexTable.GATHER) != 0) {
      int destination = reg | (lowReg ? 0 : 8);
      int index = sib >> 3 & 7 | ((extensions & 0x40) != 0 ? 0 : 8);
      return destination != index && destination != third && index != third;
    }
    return true;
  }
}
