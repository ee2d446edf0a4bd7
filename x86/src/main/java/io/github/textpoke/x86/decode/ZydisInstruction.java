package io.github.textpoke.x86.decode;

import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Undecodable;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;

/**
 * A {@code ZydisDecodedInstruction} in native memory, read by offsets, which are the same in Zydis
 * 4.0 and 4.1. Not thread-safe.
 */
final class ZydisInstruction {
  // enums of Zydis
  private static final int ENCODING_3DNOW = 1;
  private static final int ENCODING_XOP = 2;
  private static final int ENCODING_VEX = 3;
  private static final int ENCODING_MVEX = 5;
  private static final int MAP_0F = 1;
  private static final int BRANCH_FAR = 3;
  private static final int PREFIX_MANDATORY = 2;

  // ZydisInstructionAttributes
  private static final long HAS_MODRM = 1;
  private static final long HAS_LOCK = 1L << 27;

  // Offsets in ZydisDecodedInstruction, in bytes.
  private static final int MNEMONIC = 4;
  private static final int LENGTH = 8;
  private static final int ENCODING = 12;
  private static final int OPCODE_MAP = 16;
  private static final int OPCODE = 20;
  private static final int ATTRIBUTES = 32;
  private static final int ISA_SET = 96;
  private static final int BRANCH_TYPE = 104;
  private static final int PREFIX_COUNT = 112;
  private static final int PREFIXES = 116; // type int, value byte; 8 bytes each
  private static final int REX_W = 240;
  private static final int MODRM_MOD = 255;
  private static final int MODRM_REG = 256;
  private static final int MODRM_RM = 257;
  private static final int DISPLACEMENT_SIZE = 272; // in bits
  private static final int DISPLACEMENT_OFFSET = 273;
  private static final int IMMEDIATE_IS_RELATIVE = 281;
  private static final int IMMEDIATE_SIZE = 296; // in bits
  private static final int IMMEDIATE_OFFSET = 297;

  /** Far more than the structure takes (328 bytes in 4.0). */
  private static final int BYTES = 1024;

  private static final Undecodable[] REASONS = Undecodable.values();

  private final ZydisMeaning meaning;
  private final Pointer memory =
      jnr.ffi.Memory.allocateDirect(Runtime.getSystemRuntime(), BYTES, true);

  ZydisInstruction(ZydisMeaning meaning) {
    this.meaning = meaning;
  }

  /** Where the library is to write. */
  long address() {
    return memory.address();
  }

  /** The number of the ISA set. */
  int isaSet() {
    return memory.getInt(ISA_SET);
  }

  /** Packs the instruction, or refuses it by policy. */
  long packed() {
    int encoding = memory.getInt(ENCODING);
    if (encoding == ENCODING_XOP || encoding == ENCODING_MVEX) {
      return Decoded.undecodable(Undecodable.DROPPED_EXTENSION);
    }
    int refusal = meaning.refusals[isaSet()];
    if (refusal != 0 || encoding == ENCODING_3DNOW) {
      return Decoded.undecodable(refusal == 0 ? Undecodable.UNKNOWN : REASONS[refusal]);
    }
    long attributes = memory.getLong(ATTRIBUTES);
    boolean modrm = (attributes & HAS_MODRM) != 0;
    int traits = meaning.mnemonics[memory.getInt(MNEMONIC)];
    int flow = traits & 15;
    boolean boostable = (traits & ZydisMeaning.BOOSTABLE) != 0;
    long flags = memory.getByte(PREFIX_COUNT) == 0 ? 0 : prefixes(attributes);
    boolean cut = (flags & Decoded.ADDRESS_SIZE) != 0;
    if (encoding < ENCODING_VEX) {
      if ((traits & ZydisMeaning.LOOK_CLOSER) != 0) {
        int closer = lookCloser(flow);
        flow = closer & 15;
        boostable &= (closer & ZydisMeaning.BOOSTABLE) != 0;
        flags |= (closer & ZydisMeaning.LOOK_CLOSER) != 0 ? Decoded.BLOCKS_INTERRUPTS : 0;
      } else if (boostable && modrm) {
        boostable = isUserMode();
      }
      if (isNearBranch(flow) && (flags & Decoded.OPERAND_SIZE) != 0 && memory.getByte(REX_W) == 0) {
        return Decoded.undecodable(Undecodable.LENGTH_DEPENDS_ON_CPU);
      }
    }
    long packed = memory.getByte(LENGTH) | (long) flow << 4 | flags;
    if (modrm
        && memory.getByte(MODRM_MOD) == 0
        && memory.getByte(MODRM_RM) == 5
        && memory.getByte(DISPLACEMENT_SIZE) == 32) {
      if (cut) {
        return Decoded.undecodable(Undecodable.EIP_RELATIVE);
      }
      packed |= (long) memory.getByte(DISPLACEMENT_OFFSET) << 16 | 4L << 20;
    }
    if (Flow.JUMP.ordinal() <= flow && memory.getByte(IMMEDIATE_IS_RELATIVE) != 0) {
      packed |=
          (long) memory.getByte(IMMEDIATE_OFFSET) << 8
              | (long) (memory.getByte(IMMEDIATE_SIZE) >> 3) << 12;
    }
    return boostable && !cut ? packed | Decoded.BOOSTABLE : packed;
  }

  /** The flags of the prefixes; f2, f3 and 66 count where they are no part of the opcode. */
  private long prefixes(long attributes) {
    long flags = (attributes & HAS_LOCK) != 0 ? Decoded.LOCK : 0;
    int count = memory.getByte(PREFIX_COUNT);
    for (int i = 0; i < count; i++) {
      boolean part = memory.getInt(PREFIXES + 8 * i) == PREFIX_MANDATORY;
      int prefix = memory.getByte(PREFIXES + 8 * i + 4) & 0xff;
      flags |=
          switch (prefix) {
            case 0x66 -> part ? 0 : Decoded.OPERAND_SIZE;
            case 0x67 -> Decoded.ADDRESS_SIZE;
            case 0xf2, 0xf3 -> part && !isString() ? 0 : Decoded.REPEAT;
            case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 -> Decoded.SEGMENT;
            default -> 0;
          };
    }
    return flags;
  }

  /** Zydis takes the f2 and f3 of string instructions for a part of the opcode. */
  private boolean isString() {
    int opcode = memory.getByte(OPCODE) & 0xff;
    return memory.getInt(OPCODE_MAP) == 0
        && (opcode >= 0xa4 && opcode <= 0xaf || opcode >= 0x6c && opcode <= 0x6f);
  }

  private static boolean isNearBranch(int flow) {
    return Flow.JUMP.ordinal() <= flow && flow <= Flow.RETURN.ordinal()
        || flow == Flow.TRANSACTION.ordinal();
  }

  /** The flow, and bits of {@link ZydisMeaning}: LOOK_CLOSER stands for a blocked interrupt. */
  private int lookCloser(int flow) {
    int opcode = memory.getByte(OPCODE) & 0xff;
    int reg = memory.getByte(MODRM_REG);
    boolean oneByte = memory.getInt(OPCODE_MAP) == 0;
    boolean far = memory.getInt(BRANCH_TYPE) == BRANCH_FAR;
    boolean direct = memory.getByte(IMMEDIATE_IS_RELATIVE) != 0;
    int boostable = flow | ZydisMeaning.BOOSTABLE;
    if (!oneByte) {
      boolean nop = opcode == 0x1f && reg == 0;
      boolean system = opcode >= 0x20 && opcode <= 0x23; // mov of control registers
      return nop ? Flow.NOP.ordinal() | ZydisMeaning.BOOSTABLE : system ? flow : boostable;
    }
    return switch (opcode) {
      case 0x90 -> Flow.NOP.ordinal() | ZydisMeaning.BOOSTABLE;
      case 0xc2, 0xc3 -> Flow.RETURN.ordinal();
      case 0xca, 0xcb -> Flow.FAR.ordinal();
      case 0xe8 -> Flow.CALL.ordinal();
      case 0xe9, 0xeb -> Flow.JUMP.ordinal();
      case 0xff -> {
        Flow near = reg == 2 ? Flow.INDIRECT_CALL : Flow.INDIRECT_JUMP;
        yield far || direct ? Flow.FAR.ordinal() : near.ordinal();
      }
      case 0x8e -> reg == 2 ? flow | ZydisMeaning.LOOK_CLOSER : boostable; // mov ss
      case 0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3 -> reg == 6 ? flow : boostable; // reserved
      case 0xf6, 0xf7 -> reg == 1 ? flow : boostable; // reserved
      default -> boostable;
    };
  }

  /** Whether it is none of 0f 01, of which user code may run xgetbv and rdtscp anywhere. */
  private boolean isUserMode() {
    if (memory.getInt(OPCODE_MAP) != MAP_0F || memory.getByte(OPCODE) != 1) {
      return true;
    }
    int modrm = memory.getByte(MODRM_REG) << 3 | memory.getByte(MODRM_RM);
    return memory.getByte(MODRM_MOD) == 3 && (modrm == 020 || modrm == 071);
  }
}
