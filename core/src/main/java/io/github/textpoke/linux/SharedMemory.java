package io.github.textpoke.linux;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.internal.Uninterruptibly;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import jnr.ffi.Pointer;

/**
 * A file that this JVM and another process have mapped. Offsets in bytes. Words that both change
 * are read and written as volatile; a futex among them wakes across processes. It is unmapped when
 * nobody refers to this object any more. Thread-safe where words are.
 */
public final class SharedMemory {
  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private final MappedByteBuffer buffer;
  private final long address;

  private SharedMemory(MappedByteBuffer buffer) {
    this.buffer = buffer;
    this.address = Pointer.wrap(Libc.RUNTIME, buffer).address();
  }

  /**
   * Maps a file, and makes it that long where it is shorter.
   *
   * @param size in bytes
   * @throws UncheckedIOException if it can't be opened or mapped
   */
  public static SharedMemory map(Path file, int size) {
    try {
      MappedByteBuffer buffer = Uninterruptibly.call(() -> mapped(file, size));
      buffer.order(ByteOrder.LITTLE_ENDIAN);
      return new SharedMemory(buffer);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /**
   * Maps what is behind an open file; it may be closed afterwards.
   *
   * @param size in bytes, no more than the file has
   * @throws UncheckedIOException if it can't be mapped
   */
  public static SharedMemory map(RandomAccessFile file, int size) {
    MappedByteBuffer buffer = Uninterruptibly.onOwnThread(() -> mapped(file, size));
    buffer.order(ByteOrder.LITTLE_ENDIAN);
    return new SharedMemory(buffer);
  }

  private static MappedByteBuffer mapped(RandomAccessFile file, int size) {
    try {
      return file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, size);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private static MappedByteBuffer mapped(Path file, int size) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return channel.map(FileChannel.MapMode.READ_WRITE, 0, size);
    }
  }

  /** Its size in bytes. */
  public int size() {
    return buffer.capacity();
  }

  /** The word at {@code offset}. */
  public int getInt(int offset) {
    return (int) INT.getVolatile(buffer, offset);
  }

  /** Sets the word at {@code offset}. */
  public void setInt(int offset, int value) {
    INT.setVolatile((ByteBuffer) buffer, offset, value);
  }

  /** Sets the word at {@code offset} where it holds {@code expected}, at once. */
  public boolean compareAndSet(int offset, int expected, int value) {
    return INT.compareAndSet((ByteBuffer) buffer, offset, expected, value);
  }

  /** The eight bytes at {@code offset}. */
  public long getLong(int offset) {
    return (long) LONG.getVolatile(buffer, offset);
  }

  /** Sets the eight bytes at {@code offset}. */
  public void setLong(int offset, long value) {
    LONG.setVolatile((ByteBuffer) buffer, offset, value);
  }

  /** Sets the byte at {@code offset}. */
  public void setByte(int offset, int value) {
    buffer.put(offset, (byte) value);
  }

  /** Sets two bytes at {@code offset}. */
  public void setShort(int offset, int value) {
    buffer.putShort(offset, (short) value);
  }

  /** Copies {@code bytes} to {@code offset}. */
  public void put(int offset, CodeBytes bytes) {
    put(offset, bytes, 0, bytes.length());
  }

  /** Copies {@code bytes[from..to)} to {@code offset}. */
  public void put(int offset, CodeBytes bytes, int from, int to) {
    bytes.copyTo(from, buffer, offset, to - from);
  }

  /** A copy of {@code length} bytes from {@code offset}. */
  public CodeBytes get(int offset, int length) {
    byte[] bytes = new byte[length];
    buffer.get(offset, bytes);
    return CodeBytes.copyOf(bytes, 0, length);
  }

  /**
   * Waits while the word at {@code offset} holds {@code value}, until somebody wakes us, or for a
   * time.
   *
   * @param scratch at least 16 bytes
   */
  public void await(int offset, int value, long nanos, NativeBytes scratch) {
    Kernel.futexWait(address + offset, value, nanos, scratch);
  }

  /** Wakes all who wait at the word at {@code offset}. */
  public void wake(int offset) {
    Kernel.futexWake(address + offset);
  }
}
