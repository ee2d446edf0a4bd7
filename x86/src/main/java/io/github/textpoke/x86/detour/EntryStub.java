package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The code that a detour's jump leads to: one jump of five bytes to the detour's destination, which
 * can be poked to lead elsewhere, and behind it a jump that reaches all of the memory.
 *
 * <pre>
 *   0:   jmp rel32      to the destination, or to 8 where that is too far
 *   5:   int3, int3, int3
 *   8:   jmp [rip]      reads the address behind it
 *   14:  .quad          the destination
 * </pre>
 */
final class EntryStub {
  /** Bytes of it. */
  static final int SIZE = 32;

  private static final int FAR = 8;

  /** {@code jmp [rip+0]}: SDM vol. 2, FF /4. */
  private static final CodeBytes FAR_JUMP = CodeBytes.ofHex("ff2500000000");

  private EntryStub() {}

  /**
   * Its bytes.
   *
   * @param address absolute, where it will stand
   * @param destination absolute
   */
  static CodeBytes bytes(long address, long destination) {
    long near = isNear(address, destination) ? destination : address + FAR;
    byte[] far =
        ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(destination).array();
    CodeBytes jumps =
        Assembly.jmp(near)
            .at(address, Entry.JUMP_LENGTH)
            .concat(CodeBytes.filled(FAR - Entry.JUMP_LENGTH, X86Planner.INT3))
            .concat(FAR_JUMP)
            .concat(CodeBytes.of(far));
    return jumps.concat(CodeBytes.filled(SIZE - jumps.length(), X86Planner.INT3));
  }

  /** Whether a jump of five bytes reaches. */
  private static boolean isNear(long from, long to) {
    long displacement = to - (from + Entry.JUMP_LENGTH);
    return displacement == (int) displacement;
  }

  /** Makes it lead to where it leads by the jump that reaches all of the memory. */
  static PatchPlan farther(X86Planner planner, long address, CodeBytes bytes) {
    return bypass(planner, address, bytes, address + FAR);
  }

  /**
   * Makes it lead to the original.
   *
   * @param address absolute, where it stands
   * @param bytes of {@link #bytes}
   * @param original absolute, in reach
   */
  static PatchPlan bypass(X86Planner planner, long address, CodeBytes bytes, long original) {
    CodeRegion jump = CodeRegion.of("entry stub", address, bytes.slice(0, Entry.JUMP_LENGTH));
    return planner.replace(jump, address, Assembly.jmp(original));
  }
}
