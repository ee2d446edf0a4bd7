package io.github.textpoke.apply;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.process.MemoryReader;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/**
 * Memory that a target shares with this JVM: see {@link ObjectMemory#share}. It is a file in memory
 * that both have, so it is there until both have left it: to read it takes no right to the target,
 * and the target need not live. Thread-safe.
 */
public final class SharedMemory implements MemoryReader, AutoCloseable {
  /** No channel: an interrupt of who reads would close that. */
  private final RandomAccessFile file;

  private final long address;
  private final long size;

  private SharedMemory(RandomAccessFile file, long address, long size) {
    this.file = file;
    this.address = address;
    this.size = size;
  }

  /** That of a file that will be mapped at {@code address} in the target. */
  static SharedMemory open(Path file, long address, long size) {
    try {
      return new SharedMemory(new RandomAccessFile(file.toFile(), "rw"), address, size);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** The absolute address of its first byte in the target. */
  public long address() {
    return address;
  }

  /** Bytes, whole pages. */
  public long size() {
    return size;
  }

  /**
   * What stands in it now.
   *
   * @param at absolute address in the target
   * @throws IllegalArgumentException if not all of it is in this memory
   */
  @Override
  public CodeBytes read(long at, int length) {
    checkArgument(
        at >= address && length >= 0 && at + length <= address + size,
        "%s bytes at 0x%s",
        length,
        Long.toHexString(at));
    byte[] bytes = new byte[length];
    try {
      synchronized (file) {
        file.seek(at - address);
        file.readFully(bytes);
      }
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
    return CodeBytes.copyOf(bytes, 0, length);
  }

  /**
   * Maps it here, for words that both change; offsets are those from its first byte. It stays
   * mapped as long as anybody refers to what is returned, also when this is closed.
   */
  public io.github.textpoke.linux.SharedMemory words() {
    return io.github.textpoke.linux.SharedMemory.map(file, Math.toIntExact(size));
  }

  /** Leaves it; it stays in the target. Idempotent. */
  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }
}
