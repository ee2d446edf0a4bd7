package io.github.textpoke.linux;

import io.github.textpoke.CodeBytes;
import java.nio.ByteBuffer;
import jnr.ffi.Pointer;

/**
 * /proc/PID/mem: whole reads and whole writes, or an error. Writing to text must come from the
 * tracer's own OS thread where {@code proc_mem.force_override=ptrace} (fs/proc/base.c,
 * proc_mem_foll_force), so an instance belongs to the thread that opened it.
 */
public final class ProcMem implements AutoCloseable {
  private static final int O_RDWR = 2;
  private static final int O_CLOEXEC = 0x80000;

  private final int fd;
  private ByteBuffer buffer = ByteBuffer.allocateDirect(4096);
  private long bufferAddress = addressOf(buffer);

  private ProcMem(int fd) {
    this.fd = fd;
  }

  /**
   * Opens the memory of a process.
   *
   * @param error where opening fails, gets the errno
   * @return null where opening fails
   */
  public static @org.jspecify.annotations.Nullable ProcMem open(int pid, int[] error) {
    long fd = Libc.orErrno(Libc.FUNCTIONS.open("/proc/" + pid + "/mem", O_RDWR | O_CLOEXEC));
    if (fd < 0) {
      error[0] = (int) -fd;
      return null;
    }
    return new ProcMem((int) fd);
  }

  /**
   * Reads into native memory.
   *
   * @return the count, or the negated errno; 0 where the memory is gone (exec or exit)
   */
  public long read(long address, long target, int length) {
    return Libc.orErrno(Libc.FUNCTIONS.pread(fd, target, length, address));
  }

  /**
   * Writes from native memory. A page that can't be written ends the write before it.
   *
   * @return the count, or the negated errno; 0 where the memory is gone (exec or exit)
   */
  public long write(long address, long source, int length) {
    return Libc.orErrno(Libc.FUNCTIONS.pwrite(fd, source, length, address));
  }

  /** The byte at {@code address}, 0 to 255; negative where it can't be read. Allocates nothing. */
  public int readByte(long address) {
    return read(address, bufferAddress, 1) == 1 ? buffer.get(0) & 0xff : -1;
  }

  /** Reads {@code length} bytes, or null where not all of them can be read. */
  public @org.jspecify.annotations.Nullable CodeBytes read(long address, int length) {
    byte[] bytes = new byte[length];
    return read(address, bytes) ? CodeBytes.copyOf(bytes, 0, length) : null;
  }

  /** Fills {@code to}; false, with nothing filled, where not all of it can be read. */
  public boolean read(long address, byte[] to) {
    enlarge(to.length);
    if (read(address, bufferAddress, to.length) != to.length) {
      return false;
    }
    buffer.get(0, to);
    return true;
  }

  private void enlarge(int length) {
    if (buffer.capacity() < length) {
      buffer = ByteBuffer.allocateDirect(length);
      bufferAddress = addressOf(buffer);
    }
  }

  private static long addressOf(ByteBuffer buffer) {
    return Pointer.wrap(Libc.RUNTIME, buffer).address();
  }

  /** Writes all of {@code bytes}; returns the count, or the negated errno. */
  public long write(long address, CodeBytes bytes) {
    enlarge(bytes.length());
    bytes.copyTo(0, buffer, 0, bytes.length());
    return write(address, bufferAddress, bytes.length());
  }

  @Override
  public void close() {
    long result = Libc.orErrno(Libc.FUNCTIONS.close(fd));
    if (result < 0) {
      throw new IllegalStateException("close of /proc/PID/mem failed with errno " + -result);
    }
  }
}
