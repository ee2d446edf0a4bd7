package io.github.textpoke.elf;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Bytes that nobody trusts: every read is checked, and one out of range is a {@code
 * BadObjectException}. Offsets are from the first byte. Absolute reads only, so it can be shared.
 */
final class ElfBytes {
  /** Mangled names grow long; one beyond this is an attack on our memory. */
  private static final int LONGEST_STRING = 1 << 20;

  private final String object;
  private final ByteBuffer bytes;
  private final int size;

  ElfBytes(String object, ByteBuffer bytes) {
    this.object = object;
    this.bytes = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
    this.size = this.bytes.limit();
  }

  BadObjectException bad(String reason) {
    return new BadObjectException(object, reason);
  }

  int size() {
    return size;
  }

  /** {@code length} bytes from {@code offset}, both unsigned; {@code what} is for the message. */
  ElfBytes part(long offset, long length, String what) {
    if (!holds(offset, length)) {
      throw bad(what + " lies outside of the " + size + " bytes");
    }
    return new ElfBytes(object, bytes.slice((int) offset, (int) length));
  }

  boolean holds(long offset, long length) {
    return offset >= 0 && length >= 0 && offset <= size && length <= size - offset;
  }

  int u8(long offset) {
    return bytes.get(checked(offset, 1)) & 0xff;
  }

  int u16(long offset) {
    return bytes.getShort(checked(offset, 2)) & 0xffff;
  }

  long u32(long offset) {
    return bytes.getInt(checked(offset, 4)) & 0xffff_ffffL;
  }

  long u64(long offset) {
    return bytes.getLong(checked(offset, 8));
  }

  /** All whole 64-bit words, copied. */
  long[] words() {
    long[] words = new long[size / 8];
    // slice() gives a big-endian view again
    bytes.slice().order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(words);
    return words;
  }

  byte[] copy() {
    byte[] copy = new byte[size];
    bytes.get(0, copy);
    return copy;
  }

  /** {@code length} bytes from {@code offset} as code. */
  CodeBytes code(long offset, int length) {
    return CodeBytes.copyOf(bytes.slice(checked(offset, length), length));
  }

  /** The string at {@code offset} up to its NUL, UTF-8. */
  String string(long offset) {
    int start = checked(offset, 1);
    int end = start;
    while (u8(end) != 0) {
      if (++end - start > LONGEST_STRING) {
        throw bad("a name is longer than " + LONGEST_STRING + " bytes");
      }
    }
    byte[] text = new byte[end - start];
    bytes.get(start, text);
    return new String(text, StandardCharsets.UTF_8);
  }

  /** Whether {@code prefix} stands at {@code offset}; false where it would run past the end. */
  boolean startsWith(long offset, byte[] prefix) {
    if (offset < 0 || offset > size - prefix.length) {
      return false;
    }
    // From the end: names begin alike.
    for (int i = prefix.length - 1; i >= 0; i--) {
      if (bytes.get((int) offset + i) != prefix[i]) {
        return false;
      }
    }
    return true;
  }

  private int checked(long offset, int width) {
    if (offset < 0 || offset > size - width) {
      throw bad("bytes at offset " + offset + " are missing: there are only " + size);
    }
    return (int) offset;
  }
}
