package io.github.textpoke.x86.encode;

import io.github.textpoke.CodeBytes;

/** {@code call rel32}. */
record Call(long target) implements Assembly {
  private static final int NEAR = 5;

  @Override
  public int shortest(long address) {
    return NEAR;
  }

  @Override
  public CodeBytes at(long address, int length) {
    Padding.checkRoom(this, address, length);
    // The prefixes stand in front, so the call ends where the site does, and so does its
    // displacement's base.
    CodeBytes displacement = Displacement.dword(address, address + length, target, toString());
    return Padding.prefixed(CodeBytes.of(0xe8).concat(displacement), length);
  }

  @Override
  public String toString() {
    return "call 0x" + Long.toHexString(target);
  }
}
