package io.github.textpoke.process;

import io.github.textpoke.elf.Relocations;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.OptionalLong;

/** What the loader has chosen for IFUNCs. */
final class Implementations {
  private Implementations() {}

  /**
   * The absolute address of what was chosen, where the object keeps that for its own use: the
   * resolver depends on the processor alone, so others were given the same.
   *
   * @param resolver link-time address in {@code object}
   */
  static OptionalLong chosen(LoadedObject object, long resolver, MemoryReader memory) {
    for (long place : Relocations.resolvedBy(object.image(), resolver)) {
      long chosen =
          ByteBuffer.wrap(memory.read(place + object.bias(), Long.BYTES).toByteArray())
              .order(ByteOrder.LITTLE_ENDIAN)
              .getLong();
      long linked = chosen - object.bias();
      // Before the loader has come to it, it holds the resolver's own address or a link-time one.
      if (linked != resolver && object.image().isExecutable(linked)) {
        return OptionalLong.of(chosen);
      }
    }
    return OptionalLong.empty();
  }
}
