package io.github.textpoke.x86.encode;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;

/**
 * One NOP of any length: the recommended multi-byte forms up to nine bytes (SDM vol. 2B, NOP, table
 * 4-12), then more 66 prefixes, which are ignored beside the first.
 */
record Nop() implements Assembly {
  private static final ImmutableList<CodeBytes> RECOMMENDED =
      ImmutableList.of(
          CodeBytes.ofHex("90"),
          CodeBytes.ofHex("66 90"),
          CodeBytes.ofHex("0f 1f 00"),
          CodeBytes.ofHex("0f 1f 40 00"),
          CodeBytes.ofHex("0f 1f 44 00 00"),
          CodeBytes.ofHex("66 0f 1f 44 00 00"),
          CodeBytes.ofHex("0f 1f 80 00 00 00 00"),
          CodeBytes.ofHex("0f 1f 84 00 00 00 00 00"),
          CodeBytes.ofHex("66 0f 1f 84 00 00 00 00 00"));

  @Override
  public int shortest(long address) {
    return 1;
  }

  @Override
  public CodeBytes at(long address, int length) {
    Padding.checkRoom(this, address, length);
    int longest = RECOMMENDED.size();
    return length <= longest
        ? RECOMMENDED.get(length - 1)
        : CodeBytes.filled(length - longest, 0x66).concat(RECOMMENDED.get(longest - 1));
  }

  @Override
  public String toString() {
    return "nop";
  }
}
