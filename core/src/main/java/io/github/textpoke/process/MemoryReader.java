package io.github.textpoke.process;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;

/** Reads the memory of one process. */
@FunctionalInterface
public interface MemoryReader {
  /**
   * The bytes at the absolute {@code address}, all {@code length} of them.
   *
   * @throws PatchException if one of them can't be read, or the process has ended
   */
  CodeBytes read(long address, int length);
}
