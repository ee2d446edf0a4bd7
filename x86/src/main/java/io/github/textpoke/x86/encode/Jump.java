package io.github.textpoke.x86.encode;

import io.github.textpoke.CodeBytes;

/** {@code jmp rel32}, or {@code jmp rel8} where there is no room for it. */
record Jump(long target) implements Assembly {
  private static final int SHORT = 2;
  private static final int NEAR = 5;

  @Override
  public int shortest(long address) {
    return Displacement.fitsByte(address + SHORT, target) ? SHORT : NEAR;
  }

  @Override
  public CodeBytes at(long address, int length) {
    Padding.checkRoom(this, address, length);
    CodeBytes jump =
        length < NEAR
            ? CodeBytes.of(0xeb, (byte) (target - address - SHORT))
            : CodeBytes.of(0xe9)
                .concat(Displacement.dword(address, address + NEAR, target, toString()));
    return Padding.unreachable(jump, length);
  }

  @Override
  public String toString() {
    return "jmp 0x" + Long.toHexString(target);
  }
}
