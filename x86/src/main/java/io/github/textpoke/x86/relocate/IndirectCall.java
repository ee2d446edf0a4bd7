package io.github.textpoke.x86.relocate;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.Instruction;

/**
 * A call of what a register or memory holds (ff /2), as a jump there (ff /4) for a stack that has
 * the return address already. Prefixes, among them notrack and a segment, stay.
 *
 * <p>A call reads its operand before it pushes, the jump after: so an operand that rsp is the base
 * of is 8 bytes further. One in the 8 bytes that were pushed over is refused where that shows. It
 * does not show with another register as base; then it would be a pointer in the red zone of a
 * function that calls, which is dead there (System V ABI, 3.2.2: only a function that calls nobody
 * can rely on it across a call).
 */
final class IndirectCall {
  private static final int RSP = 4;
  private static final int SIB_FOLLOWS = 4;

  private final DisplacedCode code;
  private final Instruction call;
  private final CodeBytes bytes;

  /** Offset of the ModRM byte. */
  private final int modrmAt;

  private final int mod;
  private final int rm;
  private final boolean isExtended;

  IndirectCall(DisplacedCode code, Instruction call) {
    this.code = code;
    this.call = call;
    this.bytes = call.bytes();
    this.modrmAt = Opcode.at(call) + 1;
    int modrm = bytes.at(modrmAt);
    this.mod = modrm >> 6;
    this.rm = modrm & 7;
    // REX counts only right before the opcode: SDM vol. 2, 2.2.1.
    int before = modrmAt >= 2 ? bytes.at(modrmAt - 2) : 0;
    this.isExtended = (before & 0xf1) == 0x41;
  }

  /**
   * The jump; a RIP-relative displacement is as it was.
   *
   * @throws PlanRefusedException by rule 8 if it would not lead where the call does
   */
  CodeBytes asJump() {
    if (mod == 3) {
      if (rm == RSP && !isExtended) {
        throw refusal("it calls the address in rsp, which the return address changes");
      }
      return withModrm(mod);
    }
    boolean hasRspAsBase = rm == SIB_FOLLOWS && (bytes.at(modrmAt + 1) & 7) == RSP && !isExtended;
    return hasRspAsBase ? fromRsp() : withModrm(mod);
  }

  private CodeBytes fromRsp() {
    int old = displacement();
    boolean hasIndex = (bytes.at(modrmAt + 1) >> 3 & 7) != RSP || isIndexExtended();
    if (!hasIndex && old > -2 * Return.WIDTH && old < 0) {
      throw refusal("its operand is where its return address goes");
    }
    int displacement;
    try {
      displacement = Math.addExact(old, Return.WIDTH);
    } catch (ArithmeticException overflow) {
      throw refusal("its operand is too far from rsp to be 8 bytes further");
    }
    boolean isByte = displacement == (byte) displacement && mod != 2;
    CodeBytes start = withModrm(isByte ? 1 : 2).slice(0, modrmAt + 2);
    return start.concat(isByte ? CodeBytes.of((byte) displacement) : Return.dword(displacement));
  }

  private int displacement() {
    int at = modrmAt + 2;
    return switch (mod) {
      case 0 -> 0;
      case 1 -> (byte) bytes.at(at);
      case 2 ->
          bytes.at(at) | bytes.at(at + 1) << 8 | bytes.at(at + 2) << 16 | bytes.at(at + 3) << 24;
      default -> throw new IllegalStateException("no memory operand: " + call);
    };
  }

  private boolean isIndexExtended() {
    int before = modrmAt >= 2 ? bytes.at(modrmAt - 2) : 0;
    return (before & 0xf2) == 0x42;
  }

  private CodeBytes withModrm(int newMod) {
    return bytes.with(modrmAt, CodeBytes.of(newMod << 6 | 4 << 3 | rm));
  }

  private PlanRefusedException refusal(String reason) {
    return code.refusal(8, call, reason, "choose a site that does not displace it");
  }
}
