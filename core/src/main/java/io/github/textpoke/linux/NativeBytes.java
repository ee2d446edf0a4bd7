package io.github.textpoke.linux;

import io.github.textpoke.CodeBytes;
import jnr.ffi.Pointer;

/** A block of native memory, freed with this object. */
public final class NativeBytes {
  private final Pointer memory;
  private final int size;

  /**
   * @param size in bytes
   */
  public NativeBytes(int size) {
    this.memory = Libc.RUNTIME.getMemoryManager().allocateDirect(Math.max(size, 1), true);
    this.size = size;
  }

  /** The size in bytes. */
  public int size() {
    return size;
  }

  /** The address of the byte at {@code offset}. */
  public long address(int offset) {
    return memory.address() + offset;
  }

  /** Copies {@code bytes} to {@code offset}. */
  public void put(int offset, CodeBytes bytes) {
    memory.put(offset, bytes.toByteArray(), 0, bytes.length());
  }

  /** Sets the byte at {@code offset}. */
  public void put(int offset, byte value) {
    memory.putByte(offset, value);
  }

  /** The byte at {@code offset}. */
  public byte get(int offset) {
    return memory.getByte(offset);
  }

  /** Sets the eight bytes at {@code offset}, little-endian. */
  public void putLong(int offset, long value) {
    memory.putLong(offset, value);
  }

  /** The eight bytes at {@code offset}, little-endian. */
  public long getLong(int offset) {
    return memory.getLong(offset);
  }

  /** The four bytes at {@code offset}, little-endian. */
  public int getInt(int offset) {
    return memory.getInt(offset);
  }

  /** Sets the four bytes at {@code offset}, little-endian. */
  public void putInt(int offset, int value) {
    memory.putInt(offset, value);
  }

  /**
   * Waits while the word at {@code offset} holds {@code value}, until somebody wakes us, or for a
   * time.
   *
   * @param scratch at least 16 bytes
   */
  public void await(int offset, int value, long nanos, NativeBytes scratch) {
    Kernel.futexWait(address(offset), value, nanos, scratch);
  }

  /** Wakes all who wait at the word at {@code offset}. */
  public void wake(int offset) {
    Kernel.futexWake(address(offset));
  }

  /** A copy of {@code length} bytes from {@code offset}. */
  public CodeBytes get(int offset, int length) {
    byte[] bytes = new byte[length];
    memory.get(offset, bytes, 0, length);
    return CodeBytes.copyOf(bytes, 0, length);
  }
}
