package io.github.textpoke.unwind;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.process.MemoryReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.TreeMap;

/** Stretches of memory with words in them; there is nothing between them. */
final class FakeMemory implements MemoryReader {
  private final TreeMap<Long, ByteBuffer> stretches = new TreeMap<>();

  /** Maps {@code length} bytes of 0 at the absolute {@code address}. */
  FakeMemory map(long address, int length) {
    stretches.put(address, ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN));
    return this;
  }

  /** Writes a word. */
  FakeMemory put(long address, long word) {
    long start = stretches.floorKey(address);
    stretches.get(start).putLong((int) (address - start), word);
    return this;
  }

  @Override
  public CodeBytes read(long address, int length) {
    Long start = stretches.floorKey(address);
    if (start == null || address - start > stretches.get(start).limit() - length) {
      throw new UnwritableMappingException(address, "nothing is there", Outcome.UNTOUCHED);
    }
    return CodeBytes.copyOf(stretches.get(start).slice((int) (address - start), length));
  }
}
