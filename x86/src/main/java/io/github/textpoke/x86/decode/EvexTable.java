package io.github.textpoke.x86.decode;

import com.google.common.base.Splitter;
import java.util.List;

/**
 * The opcodes behind EVEX (62), as the decoder walks them, compiled from {@link EvexMap0f}, {@link
 * EvexMap0f38} and {@link EvexMaps3a56}. A row has eight columns:
 *
 * <ol>
 *   <li>the opcode; behind a slash the valid digits of the ModRM reg field, where not all are;
 *   <li>EVEX.pp as the prefix it stands for;
 *   <li>the valid values of EVEX.W;
 *   <li>{@code b} where a byte follows as immediate;
 *   <li>the valid values of EVEX.L'L in the memory form; {@code b}: EVEX.b broadcasts, with the
 *       same values;
 *   <li>in the register form; {@code e}: EVEX.b selects rounding or suppresses exceptions, with any
 *       L'L;
 *   <li>{@code v} EVEX.vvvv names an operand, else it must be 1111 and V' 1; {@code k} a mask may
 *       select elements; {@code z} and zero the others; {@code K} there must be a mask; {@code q}
 *       reg is a mask register, {@code g} a general one; {@code x} a vector of addresses; {@code d}
 *       the destination differs from the sources;
 *   <li>names, for the reader.
 * </ol>
 */
final class EvexTable {
  // Bits of a row's policy. The low two groups are sets of L'L values.
  static final int LENGTHS_SHIFT = 0; // 4 bits, EVEX.b is 0
  static final int B_LENGTHS_SHIFT = 4; // 4 bits, EVEX.b is 1
  static final int REGS_SHIFT = 8; // 8 bits: valid reg fields
  static final int VVVV = 1 << 16;
  static final int MASK = 1 << 17;
  static final int ZEROING = 1 << 18;
  static final int MASK_REQUIRED = 1 << 19;
  static final int REG_IS_MASK = 1 << 20;
  static final int REG_IS_GENERAL = 1 << 21;
  static final int VECTOR_OF_ADDRESSES = 1 << 22;
  static final int DISTINCT = 1 << 23;
  static final int IMMEDIATE = 1 << 24;

  private static final List<String> PREFIXES = List.of("np", "66", "f3", "f2");
  private static final Splitter LINES = Splitter.on('\n').omitEmptyStrings();

  /** At {@link #index}: up to two policies, the second at +1 (reg fields that differ). 0: none. */
  final int[] policies = new int[8 * 256 * 4 * 2 * 2 * 2];

  EvexTable() {
    for (int map : new int[] {1, 2, 3, 5, 6}) {
      for (String line : rows(map)) {
        read(map, Splitter.on(' ').omitEmptyStrings().splitToList(line));
      }
    }
  }

  /** The rows of a map as written. */
  static List<String> rows(int map) {
    return LINES.splitToList(
        switch (map) {
          case 1 -> EvexMap0f.ROWS;
          case 2 -> EvexMap0f38.ROWS;
          case 3 -> EvexMaps3a56.ROWS_3A;
          case 5 -> EvexMaps3a56.ROWS_5;
          case 6 -> EvexMaps3a56.ROWS_6;
          default -> throw new IllegalArgumentException("no map " + map);
        });
  }

  /** Where an opcode's policies stand: {@code map} 0 to 7, {@code pp} and {@code w} as in EVEX. */
  static int index(int map, int opcode, int pp, int w, boolean register) {
    return ((((map * 256 + opcode) * 4 + pp) * 2 + w) * 2 + (register ? 1 : 0)) * 2;
  }

  private void read(int map, List<String> columns) {
    String opcode = columns.get(0);
    int regs = opcode.length() == 2 ? 0xff : digits(opcode.substring(3));
    int common = regs << REGS_SHIFT | (columns.get(3).equals("b") ? IMMEDIATE : 0);
    common |= readFlags(columns.get(6));
    for (int w = 0; w < 2; w++) {
      if (columns.get(2).indexOf('0' + w) < 0) {
        continue;
      }
      for (int form = 0; form < 2; form++) {
        String lengths = columns.get(4 + form);
        if (!lengths.equals("-")) {
          int at =
              index(
                  map,
                  Integer.parseInt(opcode.substring(0, 2), 16),
                  PREFIXES.indexOf(columns.get(1)),
                  w,
                  form == 1);
          add(at, common | readLengths(lengths), columns);
        }
      }
    }
  }

  private void add(int at, int policy, List<String> columns) {
    if (policies[at] == 0) {
      policies[at] = policy;
    } else if (policies[at + 1] == 0) {
      policies[at + 1] = policy;
    } else {
      throw new IllegalStateException("a third policy for " + columns);
    }
  }

  private static int readLengths(String text) {
    char last = text.charAt(text.length() - 1);
    int without = digits(text.replaceAll("[be]", ""));
    int with =
        switch (last) {
          case 'b' -> without;
          case 'e' -> 15;
          default -> 0;
        };
    return without << LENGTHS_SHIFT | with << B_LENGTHS_SHIFT;
  }

  private static int readFlags(String text) {
    int bits = 0;
    for (char flag : text.toCharArray()) {
      bits |=
          switch (flag) {
            case '-' -> 0;
            case 'v' -> VVVV;
            case 'k' -> MASK;
            case 'z' -> ZEROING;
            case 'K' -> MASK | MASK_REQUIRED;
            case 'q' -> REG_IS_MASK;
            case 'g' -> REG_IS_GENERAL;
            case 'x' -> VECTOR_OF_ADDRESSES;
            case 'd' -> DISTINCT;
            default -> throw new IllegalStateException("bad flag in " + text);
          };
    }
    return bits;
  }

  private static int digits(String text) {
    return text.chars().map(digit -> 1 << digit - '0').reduce(0, (a, b) -> a | b);
  }
}
