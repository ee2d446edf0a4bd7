package io.github.textpoke.process;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.AccessDeniedException;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;

/**
 * Reads through {@code /proc/PID/mem} with the JDK alone, without natives and without stopping
 * anything. It stays with the program that ran when it was made: after an execve its reads fail.
 * Thread-safe.
 */
public final class ProcMemReader implements MemoryReader, AutoCloseable {
  private final int pid;
  private final RandomAccessFile memory; // an interrupt would close a channel for good

  /**
   * Opens the memory of process {@code pid}.
   *
   * @throws NoSuchProcessException if there is no such process
   * @throws AccessDeniedException if the kernel does not allow it
   */
  public ProcMemReader(int pid) {
    this.pid = pid;
    try {
      this.memory = new RandomAccessFile(ProcText.path(pid, "mem").toFile(), "r");
    } catch (IOException e) {
      throw ProcText.failure(pid, "mem", e);
    }
  }

  /**
   * {@inheritDoc}
   *
   * @throws UnwritableMappingException if a byte is not mapped or can't be read
   * @throws TargetGoneException if the process has ended or runs another program
   */
  @Override
  public CodeBytes read(long address, int length) {
    checkArgument(length >= 0, "length %s", length);
    if (address < 0 || address + length < 0) {
      throw new UnwritableMappingException(
          address, "the kernel's half of the address space", Outcome.UNTOUCHED);
    }
    byte[] bytes = new byte[length];
    int read = 0;
    try {
      while (read < length) {
        int more;
        synchronized (memory) {
          memory.seek(address + read);
          more = memory.read(bytes, read, length - read);
        }
        // The kernel answers with the end of the file where the memory itself is gone.
        if (more <= 0) {
          throw new TargetGoneException(pid, "its memory is gone");
        }
        read += more;
      }
    } catch (IOException e) {
      throw new UnwritableMappingException(
          address + read, "can't be read: " + e.getMessage(), Outcome.UNTOUCHED);
    }
    return CodeBytes.of(bytes);
  }

  @Override
  public void close() {
    try {
      memory.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
