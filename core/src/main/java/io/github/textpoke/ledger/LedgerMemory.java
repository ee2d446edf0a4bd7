package io.github.textpoke.ledger;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import org.jspecify.annotations.Nullable;

/** The memory of the process whose ledger is read and written. */
public interface LedgerMemory {
  /**
   * The bytes at the absolute {@code address}, all {@code length} of them; {@code null} if one of
   * them can't be read.
   */
  @Nullable CodeBytes read(long address, int length);

  /**
   * Fills {@code to} with the bytes at the absolute {@code address}.
   *
   * @return false if one of them can't be read; then what {@code to} holds means nothing
   */
  default boolean read(long address, byte[] to) {
    CodeBytes bytes = read(address, to.length);
    if (bytes == null) {
      return false;
    }
    bytes.copyTo(0, to, 0, to.length);
    return true;
  }

  /**
   * Writes {@code bytes} at the absolute {@code address}. Eight bytes at a multiple of eight must
   * be written wholly or not at all, even if the patcher is killed.
   *
   * @throws PatchException if not all of them can be written
   */
  void write(long address, CodeBytes bytes);
}
