package io.github.textpoke.x86.decode;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Decodes x86-64 by table, in pure Java: what a patcher needs of an instruction and no more. An
 * allow-list: an encoding without a row in {@link OpcodeTable}, {@link VexTable} or {@link
 * EvexTable} is refused, and so is one that the processor's vendors read differently. Newer
 * extensions (APX with REX2, AVX10) have no rows yet.
 *
 * <p>Allocates once per region, to copy its bytes, and nothing per instruction. Not thread-safe.
 */
public final class TableDecoder implements InstructionDecoder {
  /** The longest instruction, in bytes: SDM volume 2, chapter 2.3.11. */
  private static final int LONGEST = 15;

  /** Zeros behind the code, so that one check at the end replaces one per byte. */
  private static final int PADDING = 32;

  private static final OpcodeTable OPCODES = new OpcodeTable();
  private static final int[] TRAITS = OPCODES.traits;
  private static final long[] FORMS = OPCODES.forms;

  // The flags of Decoded serve as the set of prefixes seen.
  private static final long NOT_WITH_VECTORS = Decoded.OPERAND_SIZE | Decoded.REPEAT | Decoded.LOCK;

  /** The flows with a displacement as immediate, a bit each. */
  private static final int DIRECT =
      Arrays.stream(Flow.values())
          .filter(Flow::hasDirectTarget)
          .mapToInt(flow -> 1 << flow.ordinal())
          .sum();

  private static final long RIP_WIDTH = 4L << 20;

  private @Nullable CodeRegion region;
  private byte[] bytes = new byte[PADDING];
  private int length;

  /** A decoder for one thread. */
  public TableDecoder() {}

  @Override
  public String name() {
    return "table";
  }

  @Override
  public long decode(CodeRegion code, int offset) {
    if (code != region) {
      load(code);
    }
    Objects.checkIndex(offset, length);
    byte[] b = bytes;
    int at = offset;
    long prefixes = 0;
    int rex = 0;
    int repeat = 0;
    int opcode;
    int traits;
    while (true) {
      opcode = b[at++] & 0xff;
      traits = TRAITS[opcode];
      if ((traits & OpcodeTable.PREFIX) == 0) {
        break;
      }
      if (at - offset == LONGEST) {
        return refuse(at + 1, Undecodable.TOO_LONG);
      }
      if ((opcode & 0xf0) == 0x40) {
        rex = opcode;
        continue;
      }
      rex = 0; // counts only right before the opcode: SDM volume 2, chapter 2.2.1
      switch (opcode) {
        case 0x66 -> prefixes |= Decoded.OPERAND_SIZE;
        case 0x67 -> prefixes |= Decoded.ADDRESS_SIZE;
        case 0xf0 -> prefixes |= Decoded.LOCK;
        case 0xf2, 0xf3 -> {
          prefixes |= Decoded.REPEAT;
          repeat = opcode;
        }
        default -> prefixes |= Decoded.SEGMENT;
      }
    }
    int row = opcode;
    if ((traits & OpcodeTable.ESCAPE) != 0) {
      if (opcode != 0x0f) {
        return vectorInstruction(offset, at, opcode, prefixes, rex);
      }
      row = 0x100 | b[at++] & 0xff;
      traits = TRAITS[row];
      if ((traits & OpcodeTable.ESCAPE) != 0) {
        row = (row == 0x138 ? 0x200 : 0x300) | b[at++] & 0xff;
        traits = TRAITS[row];
      }
    }
    if ((traits & OpcodeTable.KNOWN) == 0) {
      return refuse(at, Undecodable.UNKNOWN);
    }
    return instruction(offset, at, row, traits, prefixes, repeat, rex);
  }

  /** Goes on behind the opcode: {@code row} is its place in {@link OpcodeTable}. */
  private long instruction(
      int offset, int opcodeEnd, int row, int traits, long prefixes, int repeat, int rex) {
    byte[] b = bytes;
    int at = opcodeEnd;
    int column = column(prefixes, repeat);
    int modrm = 0;
    int rip = 0;
    boolean memory = false;
    if ((traits & OpcodeTable.MODRM) != 0) {
      modrm = b[at++] & 0xff;
      if ((traits & OpcodeTable.REGISTERS_ONLY) != 0) {
        if (!isSystemRegister(row, modrm, rex)) {
          return refuse(at, Undecodable.UNKNOWN);
        }
        modrm |= 0xc0; // SDM volume 2, MOV: the mod field is ignored
      }
      memory = modrm < 0xc0;
      if (!isForm(row, traits, column, modrm)) {
        boolean xop = row == 0x8f && (modrm & 0x1f) >= 8;
        return refuse(at, xop ? Undecodable.DROPPED_EXTENSION : Undecodable.UNKNOWN);
      }
      if (memory) {
        rip = Memory.OPERANDS[modrm] == Memory.RIP_RELATIVE ? at - offset : 0;
        at += Memory.size(b, at, modrm);
      }
    } else if ((FORMS[row] >>> (column << 4) & 1) == 0) {
      return refuse(at, Undecodable.UNKNOWN);
    }
    if ((prefixes & Decoded.LOCK) != 0
        && (!memory || (traits >> OpcodeTable.LOCK_SHIFT + (modrm >> 3 & 7) & 1) == 0)) {
      return refuse(at, Undecodable.UNKNOWN);
    }
    boolean cut = (prefixes & Decoded.ADDRESS_SIZE) != 0;
    if (cut && rip != 0) {
      return refuse(at, Undecodable.EIP_RELATIVE);
    }

    int flow = traits >> OpcodeTable.FLOW_SHIFT & 15;
    boolean boostable = (traits & OpcodeTable.BOOSTABLE) != 0;
    boolean nearBranch = (traits & OpcodeTable.NEAR_BRANCH) != 0;
    long packed = prefixes;
    if ((traits & OpcodeTable.GROUP) != 0) {
      int group = Groups.traits(row, column, modrm, (rex & 1) != 0);
      flow = group & 15;
      boostable = (group & Groups.BOOSTABLE) != 0;
      nearBranch = (group & Groups.NEAR_BRANCH) != 0;
      packed |= (group & Groups.BLOCKS_INTERRUPTS) != 0 ? Decoded.BLOCKS_INTERRUPTS : 0;
    }
    boolean wide = (rex & 8) != 0;
    boolean half = (prefixes & Decoded.OPERAND_SIZE) != 0 && !wide;
    if (nearBranch && half) {
      // Intel ignores 66, AMD obeys it; REX.W outranks it on both: APM volume 3, chapter 1.2.7.
      return refuse(at, Undecodable.LENGTH_DEPENDS_ON_CPU);
    }
    int immediate = immediateSize(traits, column, modrm, wide, half, cut);
    if ((DIRECT >> flow & 1) != 0) {
      packed |= (long) (at - offset) << 8 | (long) immediate << 12;
    }
    if (rip != 0) {
      packed |= (long) rip << 16 | RIP_WIDTH;
    }
    if (column != 0 && (traits >> OpcodeTable.MANDATORY_SHIFT + column & 1) != 0) {
      packed &= ~(column == 1 ? Decoded.OPERAND_SIZE : Decoded.REPEAT);
    }
    if (boostable && !cut) {
      packed |= Decoded.BOOSTABLE; // the kernel does not boost behind 67
    }
    return finish(offset, at + immediate, packed | (long) flow << 4);
  }

  /** f2 and f3 select an opcode before 66 does: SDM volume 2, appendix A.2.1. */
  private static int column(long prefixes, int repeat) {
    if (repeat != 0) {
      return repeat == 0xf3 ? 2 : 3;
    }
    return (prefixes & Decoded.OPERAND_SIZE) != 0 ? 1 : 0;
  }

  /** Whether the row has the form that the prefix and ModRM name. */
  private static boolean isForm(int row, int traits, int column, int modrm) {
    boolean register = modrm >= 0xc0;
    int reg = modrm >> 3 & 7;
    if ((FORMS[row] >>> (column << 4 | (register ? 8 : 0) | reg) & 1) == 0) {
      return false;
    }
    return !register
        || (traits & OpcodeTable.RM_MATTERS) == 0
        || (OPCODES.rmForms[row][column << 3 | reg] >> (modrm & 7) & 1) != 0;
  }

  private static int immediateSize(
      int traits, int column, int modrm, boolean wide, boolean half, boolean cut) {
    return switch (traits >> OpcodeTable.IMMEDIATE_SHIFT & 15) {
      case OpcodeTable.NONE -> 0;
      case OpcodeTable.BYTE, OpcodeTable.REL_BYTE -> 1;
      case OpcodeTable.WORD -> 2;
      case OpcodeTable.Z -> half ? 2 : 4;
      case OpcodeTable.V -> wide ? 8 : half ? 2 : 4;
      case OpcodeTable.WORD_AND_BYTE -> 3;
      case OpcodeTable.ADDRESS -> cut ? 4 : 8;
      case OpcodeTable.REL_Z -> 4;
      case OpcodeTable.TEST_BYTE -> (modrm & 0x30) == 0 ? 1 : 0;
      case OpcodeTable.TEST_Z -> (modrm & 0x30) != 0 ? 0 : half ? 2 : 4;
      case OpcodeTable.TWO_BYTES_IF_PREFIXED -> column == 0 ? 0 : 2;
      default -> throw new IllegalStateException("no immediate in traits " + traits);
    };
  }

  private long vectorInstruction(int offset, int at, int escape, long prefixes, int rex) {
    if (rex != 0 || (prefixes & NOT_WITH_VECTORS) != 0) {
      return refuse(at, Undecodable.UNKNOWN); // SDM volume 2, chapters 2.3.2 to 2.3.4 and 2.7.11
    }
    boolean cut = (prefixes & Decoded.ADDRESS_SIZE) != 0;
    long form = escape == 0x62 ? EvexForm.decode(bytes, at) : VexForm.decode(bytes, at, escape);
    int end = at + VectorForm.length(form);
    if (!VectorForm.isValid(form)) {
      return refuse(end, VectorForm.reason(form));
    }
    if (VectorForm.isRipRelative(form) && cut) {
      return refuse(end, Undecodable.EIP_RELATIVE);
    }
    int rip = at - offset + VectorForm.displacementAt(form);
    return finish(
        offset,
        end,
        prefixes
            | (cut ? 0 : Decoded.BOOSTABLE)
            | (VectorForm.isRipRelative(form) ? (long) rip << 16 | RIP_WIDTH : 0));
  }

  private long finish(int offset, int end, long packed) {
    return end > length || end - offset > LONGEST ? tooLong(offset) : packed | end - offset;
  }

  private long tooLong(int offset) {
    return Decoded.undecodable(
        offset + LONGEST > length ? Undecodable.TRUNCATED : Undecodable.TOO_LONG);
  }

  /** Refuses what was read up to {@code end}; where that is behind the code, it is cut off. */
  private long refuse(int end, Undecodable reason) {
    return Decoded.undecodable(end > length ? Undecodable.TRUNCATED : reason);
  }

  /**
   * Whether a control or debug register exists: mov to and from them ignores mod. REX.R leads to
   * cr8 alone. SDM volume 2, MOV, control and debug registers.
   */
  private static boolean isSystemRegister(int row, int modrm, int rex) {
    boolean extended = (rex & 4) != 0;
    boolean debug = (row & 1) != 0;
    return !extended || !debug && (modrm >> 3 & 7) == 0;
  }

  private void load(CodeRegion code) {
    length = code.bytes().length();
    bytes = new byte[length + PADDING];
    code.bytes().copyTo(0, bytes, 0, length);
    region = code;
  }
}
