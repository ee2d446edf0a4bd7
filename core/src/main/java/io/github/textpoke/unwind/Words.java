package io.github.textpoke.unwind;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.process.MemoryReader;
import java.nio.ByteBuffer;

/** Reads little-endian numbers; a page at a time, as neighbours are asked for next. */
final class Words {
  private static final int PAGE = 4096;

  private final MemoryReader memory;
  private ByteBuffer page = ByteBuffer.allocate(0);

  /** Absolute address of its first byte. */
  private long start;

  Words(MemoryReader memory) {
    this.memory = memory;
  }

  /** The word at the absolute {@code address}. */
  long word(long address) throws UnknownCallerException {
    return number(address, Long.BYTES);
  }

  /**
   * A number without sign.
   *
   * @param address absolute
   * @param width bytes, 1 to 8
   */
  long number(long address, int width) throws UnknownCallerException {
    long value = 0;
    if (isInPage(address, width)) {
      return number(page, (int) (address - start), width);
    }
    for (int i = 0; i < width; i++) {
      load(address + i);
      value |= (long) (page.get((int) (address + i - start)) & 0xff) << 8 * i;
    }
    return value;
  }

  private static long number(ByteBuffer page, int offset, int width) {
    long value = 0;
    for (int i = 0; i < width; i++) {
      value |= (long) (page.get(offset + i) & 0xff) << 8 * i;
    }
    return value;
  }

  private boolean isInPage(long address, int width) {
    long offset = address - start;
    return offset >= 0 && offset <= page.limit() - width;
  }

  private void load(long address) throws UnknownCallerException {
    if (isInPage(address, 1)) {
      return;
    }
    long first = address & -PAGE;
    try {
      CodeBytes bytes = memory.read(first, PAGE);
      page = ByteBuffer.wrap(bytes.toByteArray());
      start = first;
    } catch (UnwritableMappingException unreadable) {
      throw new UnknownCallerException(unreadable.what());
    }
  }
}
