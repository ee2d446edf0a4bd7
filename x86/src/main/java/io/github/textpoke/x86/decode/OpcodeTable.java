package io.github.textpoke.x86.decode;

import com.google.common.base.Splitter;
import io.github.textpoke.decode.Flow;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The opcodes without VEX and EVEX, as the decoder walks them: four maps of 256 opcodes, compiled
 * from the rows of {@link OneByteMap}, {@link TwoByteMap} and {@link ThreeByteMaps}. A row has six
 * columns:
 *
 * <ol>
 *   <li>the opcode;
 *   <li>what follows it: {@code M} ModRM, {@code R} ModRM that always names registers, {@code -}
 *       nothing; then the immediate: {@code b w} 1 or 2 bytes, {@code z} 4 or with 66 2, {@code v}
 *       as z or with REX.W 8, {@code wb} 3, {@code o} an address of 8 or with 67 4 bytes, {@code f
 *       F} as b and z for /0 and /1 only, {@code x} 2 bytes behind 66 and f2 only, {@code jb jz} a
 *       displacement of a branch. Or {@code invalid}, {@code prefix}, {@code escape}, {@code
 *       refused};
 *   <li>when it is an instruction: prefixes, and behind a colon ModRM forms. {@code np 66 f3 f2}:
 *       valid with that prefix, which is part of the opcode; {@code ~66}: valid, and the prefix is
 *       no part of it; {@code *}: valid with none and with each. Forms: {@code m} memory, {@code r}
 *       register, with the digits of the reg field where not all are valid; {@code .4=01}: register
 *       form with reg 4, rm 0 and 1 only;
 *   <li>{@code lock}: LOCK is valid on the memory form, with the digits of the reg field;
 *   <li>the {@link Flow}; {@code group} where {@link Groups} tells it from more than the opcode;
 *       {@code !}: not boostable;
 *   <li>names, for the reader.
 * </ol>
 */
final class OpcodeTable {
  /** Maps: one-byte, 0f, 0f 38, 0f 3a. */
  static final int MAPS = 4;

  // Bits of a row's traits.
  static final int MODRM = 1;
  static final int REGISTERS_ONLY = 1 << 1;
  static final int KNOWN = 1 << 2;
  static final int BOOSTABLE = 1 << 3;
  static final int FLOW_SHIFT = 4; // 4 bits
  static final int IMMEDIATE_SHIFT = 8; // 4 bits
  static final int GROUP = 1 << 12;
  static final int RM_MATTERS = 1 << 13;
  static final int PREFIX = 1 << 14;
  static final int ESCAPE = 1 << 15;
  static final int LOCK_SHIFT = 16; // 8 bits, one per reg field
  static final int MANDATORY_SHIFT = 24; // 4 bits, one per prefix column
  static final int NEAR_BRANCH = 1 << 28;

  // Immediates, in the order of their numbers.
  static final int NONE = 0;
  static final int BYTE = 1;
  static final int WORD = 2;
  static final int Z = 3;
  static final int V = 4;
  static final int WORD_AND_BYTE = 5;
  static final int ADDRESS = 6;
  static final int REL_BYTE = 7;
  static final int REL_Z = 8;
  static final int TEST_BYTE = 9;
  static final int TEST_Z = 10;
  static final int TWO_BYTES_IF_PREFIXED = 11;

  private static final List<String> IMMEDIATES =
      List.of("", "b", "w", "z", "v", "wb", "o", "jb", "jz", "f", "F", "x");
  private static final List<String> PREFIX_COLUMNS = List.of("np", "66", "f3", "f2");
  private static final Splitter LINES = Splitter.on('\n').omitEmptyStrings();
  private static final Splitter COLUMNS = Splitter.on(' ').omitEmptyStrings().limit(6);
  private static final Pattern FORMS = Pattern.compile("(m\\d*)?(r\\d*)?((?:\\.\\d=\\d+)*)");
  private static final Pattern RM_FORM = Pattern.compile("\\.(\\d)=(\\d+)");

  /** The traits of an opcode, at {@code map * 256 + opcode}; 0: none. */
  final int[] traits = new int[MAPS * 256];

  /**
   * The valid ModRM forms of an opcode: bit {@code column * 16 + (register ? 8 : 0) + reg}; without
   * ModRM bit {@code column * 16} alone counts.
   */
  final long[] forms = new long[MAPS * 256];

  /**
   * Where {@link #RM_MATTERS}: at {@code column * 8 + reg} the rm fields that are valid in the
   * register form, a bit each.
   */
  final byte[][] rmForms = new byte[MAPS * 256][];

  OpcodeTable() {
    read(0, OneByteMap.ROWS);
    read(1, TwoByteMap.ROWS);
    read(2, ThreeByteMaps.ROWS_38);
    read(3, ThreeByteMaps.ROWS_3A);
  }

  /** The rows of a map as written, for the test that walks them. */
  static List<String> rows(int map) {
    return LINES.splitToList(
        switch (map) {
          case 0 -> OneByteMap.ROWS;
          case 1 -> TwoByteMap.ROWS;
          case 2 -> ThreeByteMaps.ROWS_38;
          case 3 -> ThreeByteMaps.ROWS_3A;
          default -> throw new IllegalArgumentException("no map " + map);
        });
  }

  private void read(int map, String rows) {
    for (String line : LINES.split(rows)) {
      List<String> columns = COLUMNS.splitToList(line);
      int at = map * 256 + Integer.parseInt(columns.get(0), 16);
      switch (columns.get(1)) {
        case "invalid", "refused" -> traits[at] = 0;
        case "prefix" -> traits[at] = PREFIX;
        case "escape" -> traits[at] = ESCAPE;
        default -> readInstruction(at, columns);
      }
    }
  }

  private void readInstruction(int at, List<String> columns) {
    String operands = columns.get(1);
    int bits = KNOWN;
    if (operands.charAt(0) == 'M') {
      bits |= MODRM;
      operands = operands.substring(1);
    } else if (operands.equals("R")) {
      bits |= MODRM | REGISTERS_ONLY;
      operands = "";
    } else if (operands.equals("-")) {
      operands = "";
    }
    int immediate = IMMEDIATES.indexOf(operands);
    if (immediate < 0) {
      throw new IllegalStateException("bad operands in row " + columns);
    }
    bits |= immediate << IMMEDIATE_SHIFT;
    for (String clause : Splitter.on(',').split(columns.get(2))) {
      bits |= readClause(at, clause);
    }
    bits |= readLock(columns.get(3)) << LOCK_SHIFT;
    traits[at] = bits | readFlow(columns.get(4));
  }

  /** Notes the forms of one clause of the third column and returns its bits. */
  private int readClause(int at, String clause) {
    int colon = clause.indexOf(':');
    String prefixes = colon < 0 ? clause : clause.substring(0, colon);
    Matcher forms = FORMS.matcher(colon < 0 ? "mr" : clause.substring(colon + 1));
    if (!forms.matches()) {
      throw new IllegalStateException("bad forms in " + clause);
    }
    int valid = digits(forms.group(1)) | digits(forms.group(2)) << 8;
    int bits = 0;
    int columns = 0;
    for (String prefix : Splitter.on('+').split(prefixes)) {
      if (prefix.equals("*")) {
        columns |= 15;
        continue;
      }
      boolean part = prefix.charAt(0) != '~';
      int column = PREFIX_COLUMNS.indexOf(part ? prefix : prefix.substring(1));
      columns |= 1 << column;
      bits |= part && column > 0 ? 1 << MANDATORY_SHIFT + column : 0;
    }
    for (int column = 0; column < 4; column++) {
      if ((columns >> column & 1) != 0) {
        this.forms[at] |= (long) valid << column * 16;
        bits |= readRmForms(at, column, valid, forms.group(3));
      }
    }
    return bits;
  }

  private int readRmForms(int at, int column, int valid, String text) {
    byte[] rms = rmForms[at] == null ? new byte[32] : rmForms[at];
    for (int reg = 0; reg < 8; reg++) {
      rms[column * 8 + reg] = (byte) ((valid >> 8 + reg & 1) != 0 ? 0xff : 0);
    }
    Matcher form = RM_FORM.matcher(text);
    while (form.find()) {
      int reg = Integer.parseInt(form.group(1));
      rms[column * 8 + reg] = (byte) digits("-" + form.group(2));
      forms[at] |= 1L << column * 16 + 8 + reg;
    }
    rmForms[at] = rms;
    return text.isEmpty() ? 0 : RM_MATTERS;
  }

  private static int readLock(String text) {
    return text.equals("-") ? 0 : digits(text.substring("lock".length() - 1));
  }

  private static int readFlow(String text) {
    boolean boostable = !text.endsWith("!");
    String name = boostable ? text : text.substring(0, text.length() - 1);
    if (name.equals("group")) {
      return GROUP;
    }
    Flow flow = Flow.valueOf(name.toUpperCase(Locale.ROOT));
    return flow.ordinal() << FLOW_SHIFT
        | (boostable && flow == Flow.NEXT ? BOOSTABLE : 0)
        | (flow.hasDirectTarget() || flow == Flow.RETURN ? NEAR_BRANCH : 0);
  }

  /** The digits behind the first character as a bit set; a lone character: all eight. */
  private static int digits(@org.jspecify.annotations.Nullable String text) {
    if (text == null) {
      return 0;
    }
    int bits = 0;
    for (int i = 1; i < text.length(); i++) {
      bits |= 1 << text.charAt(i) - '0';
    }
    return text.length() == 1 ? 0xff : bits;
  }
}
