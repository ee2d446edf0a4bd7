package io.github.textpoke.x86.decode;

import io.github.textpoke.decode.Flow;

/**
 * Flow and boostability of the opcodes that need more than their row to tell it: groups by the reg
 * field (SDM volume 2, appendix A, table A-6), NOP, system instructions. The kernel's {@code
 * can_boost} and {@code twobyte_is_boostable} (arch/x86/kernel/kprobes/core.c) are the model; what
 * they refuse is refused here.
 */
final class Groups {
  /** Bit of the answer: boostable. */
  static final int BOOSTABLE = 16;

  /** Bit of the answer: a trap waits until the next instruction has run. */
  static final int BLOCKS_INTERRUPTS = 32;

  /** Bit of the answer: a near branch, so that a 66 prefix makes it depend on the vendor. */
  static final int NEAR_BRANCH = 64;

  private static final int F3 = 2;
  private static final int NEXT = Flow.NEXT.ordinal();
  private static final int BOOSTABLE_NEXT = NEXT | BOOSTABLE;

  private Groups() {}

  /**
   * Tells flow and boostability.
   *
   * @param opcode {@code map * 256 + opcode}
   * @param column which prefix selects the opcode: 0 none, 1 66, 2 f3, 3 f2
   * @param modrm the ModRM byte, 0 where there is none
   * @param rexB whether the REX prefix extends the register in the opcode
   * @return the {@link Flow}'s ordinal and the bits of this class
   */
  static int traits(int opcode, int column, int modrm, boolean rexB) {
    int reg = modrm >> 3 & 7;
    boolean register = modrm >= 0xc0;
    return switch (opcode) {
      case 0x90 -> // xchg r8,rax and pause are no NOP
          column == F3 || rexB ? BOOSTABLE_NEXT : Flow.NOP.ordinal() | BOOSTABLE;
      case 0x8c -> BOOSTABLE_NEXT;
      case 0x8e -> reg == 2 ? NEXT | BLOCKS_INTERRUPTS : BOOSTABLE_NEXT;
      // AMD: shl; Intel: reserved
      case 0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3 -> reg == 6 ? NEXT : BOOSTABLE_NEXT;
      case 0xc6 -> reg == 7 ? NEXT : BOOSTABLE_NEXT; // /7: xabort
      case 0xc7 -> reg == 7 ? Flow.TRANSACTION.ordinal() | NEAR_BRANCH : BOOSTABLE_NEXT;
      // AMD: test; Intel: reserved
      case 0xf6, 0xf7 -> reg == 1 ? NEXT : BOOSTABLE_NEXT;
      case 0xff ->
          switch (reg) {
            case 2 -> Flow.INDIRECT_CALL.ordinal() | NEAR_BRANCH;
            case 4 -> Flow.INDIRECT_JUMP.ordinal() | NEAR_BRANCH;
            case 3, 5 -> Flow.FAR.ordinal();
            default -> BOOSTABLE_NEXT; // inc, dec, push; /7 is no form of the row
          };
      case 0x101 -> system(column, modrm);
      case 0x11e -> controlFlowEnforcement(column, modrm);
      case 0x11f -> reg == 0 ? Flow.NOP.ordinal() | BOOSTABLE : BOOSTABLE_NEXT;
      // f3 /5 registers: incssp, f3 /6 memory: clrssbsy: they change the shadow stack
      case 0x1ae -> column == F3 && (register ? reg == 5 : reg == 6) ? NEXT : BOOSTABLE_NEXT;
      case 0x1c7 -> {
        boolean user = register ? reg == 7 || column != F3 : reg == 1 || reg == 4;
        yield user ? BOOSTABLE_NEXT : NEXT; // cmpxchg16b, xsavec, rdrand, rdseed, rdpid
      }
      // without prefix vmread, vmwrite and wrss; else extrq, insertq, adcx, adox
      case 0x178, 0x179, 0x2f6 -> column == 0 ? NEXT : BOOSTABLE_NEXT;
      case 0x120, 0x121, 0x122, 0x123 -> NEXT; // control and debug registers
      default -> throw new IllegalStateException("no group " + Integer.toHexString(opcode));
    };
  }

  /** 0f 01. */
  private static int system(int column, int modrm) {
    boolean uiret = column == F3 && modrm == 0xec;
    boolean enclu = column == 0 && modrm == 0xd7; // enters or leaves an enclave
    if (uiret || enclu) {
      return Flow.FAR.ordinal();
    }
    boolean xgetbv = column == 0 && modrm == 0xd0;
    boolean rdtscp = modrm == 0xf9;
    return xgetbv || rdtscp ? BOOSTABLE_NEXT : NEXT;
  }

  /** 0f 1e: endbr64, rdssp, else a reserved NOP. */
  private static int controlFlowEnforcement(int column, int modrm) {
    if (column == F3 && modrm == 0xfa) {
      return Flow.LANDING_PAD.ordinal() | BOOSTABLE;
    }
    boolean rdssp = column == F3 && (modrm & 0xf8) == 0xc8;
    return rdssp ? NEXT : BOOSTABLE_NEXT;
  }
}
