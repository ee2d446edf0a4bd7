package io.github.textpoke.x86.decode;

import com.google.common.base.Splitter;
import java.util.List;

/**
 * The opcodes behind VEX (c4, c5), as the decoder walks them, compiled from {@link VexMap0f} and
 * {@link VexMaps38And3a}. A row has nine columns:
 *
 * <ol>
 *   <li>the opcode; behind a slash the valid digits of the ModRM reg field, where not all are;
 *   <li>VEX.pp as the prefix it stands for;
 *   <li>the valid values of VEX.L;
 *   <li>and of VEX.W;
 *   <li>{@code b} where a byte follows as immediate;
 *   <li>{@code m} where the memory form is valid, {@code mv} where it uses VEX.vvvv too, which else
 *       must be 1111;
 *   <li>{@code r}, {@code rv}: the register form likewise; {@code r0}: with rm 0 only; {@code no
 *       modrm} in the two columns: there is none;
 *   <li>limits of the operands: {@code q} VEX.R extends nothing (mask or tile register), {@code k}
 *       nor does VEX.vvvv go beyond 7, {@code t} three different tiles, {@code s} memory by SIB
 *       only, {@code x} a vector of addresses with three different registers;
 *   <li>names, for the reader.
 * </ol>
 */
final class VexTable {
  // Bits of a row's limits.
  static final int IMMEDIATE = 1;
  static final int NO_MODRM = 2;
  static final int LOW_REG = 4;
  static final int LOW_VVVV = 8;
  static final int TILES = 16;
  static final int SIB_ONLY = 32;
  static final int GATHER = 64;
  static final int RM_ZERO = 128;

  private static final List<String> PREFIXES = List.of("np", "66", "f3", "f2");

  /** At {@link #index}: valid forms, bit {@code (L * 2 + W) * 16 + (register ? 8 : 0) + reg}. */
  final long[] forms = new long[3 * 256 * 4];

  /** At {@link #index}: the same bits, where VEX.vvvv names an operand. */
  final long[] vvvv = new long[3 * 256 * 4];

  /** At {@link #index}: the bits of this class. */
  final short[] limits = new short[3 * 256 * 4];

  VexTable() {
    for (int map = 1; map <= 3; map++) {
      for (String line : rows(map)) {
        read(map, Splitter.on(' ').omitEmptyStrings().splitToList(line));
      }
    }
  }

  /** The rows of a map as written. */
  static List<String> rows(int map) {
    return Splitter.on('\n')
        .omitEmptyStrings()
        .splitToList(
            switch (map) {
              case 1 -> VexMap0f.ROWS;
              case 2 -> VexMaps38And3a.ROWS_38;
              case 3 -> VexMaps38And3a.ROWS_3A;
              default -> throw new IllegalArgumentException("no map " + map);
            });
  }

  /** Where an opcode stands: {@code map} 1 to 3, {@code pp} as in VEX. */
  static int index(int map, int opcode, int pp) {
    return ((map - 1) * 256 + opcode) * 4 + pp;
  }

  private void read(int map, List<String> columns) {
    String opcode = columns.get(0);
    // VEX.pp counts 66, f3, f2, as the column names do.
    int at =
        index(map, Integer.parseInt(opcode.substring(0, 2), 16), PREFIXES.indexOf(columns.get(1)));
    int regs = opcode.length() == 2 ? 0xff : digits(opcode.substring(3));
    String memory = columns.get(5);
    String register = columns.get(6);
    boolean noModrm = memory.equals("no");
    int valid = 0;
    int used = 0;
    if (memory.startsWith("m") || noModrm) {
      valid |= regs;
      used |= memory.endsWith("v") ? regs : 0;
    }
    if (register.startsWith("r")) {
      valid |= regs << 8;
      used |= register.endsWith("v") ? regs << 8 : 0;
    }
    for (int l = 0; l < 2; l++) {
      for (int w = 0; w < 2; w++) {
        if (columns.get(2).indexOf('0' + l) >= 0 && columns.get(3).indexOf('0' + w) >= 0) {
          forms[at] |= (long) valid << (l * 2 + w) * 16;
          vvvv[at] |= (long) used << (l * 2 + w) * 16;
        }
      }
    }
    limits[at] |=
        (short)
            ((columns.get(4).equals("b") ? IMMEDIATE : 0)
                | (noModrm ? NO_MODRM : 0)
                | (register.equals("r0") ? RM_ZERO : 0)
                | readLimits(columns.get(7)));
  }

  private static int readLimits(String text) {
    int bits = 0;
    for (char limit : text.toCharArray()) {
      bits |=
          switch (limit) {
            case '-' -> 0;
            case 'q' -> LOW_REG;
            case 'k' -> LOW_VVVV;
            case 't' -> TILES;
            case 's' -> SIB_ONLY;
            case 'x' -> GATHER;
            default -> throw new IllegalStateException("bad limit in " + text);
          };
    }
    return bits;
  }

  private static int digits(String text) {
    return text.chars().map(digit -> 1 << digit - '0').reduce(0, (a, b) -> a | b);
  }
}
