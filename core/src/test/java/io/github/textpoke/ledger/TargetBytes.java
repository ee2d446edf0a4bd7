package io.github.textpoke.ledger;

import io.github.textpoke.CodeBytes;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The memory of a target: some bytes, and a patcher that may die while it writes them. */
final class TargetBytes implements LedgerMemory {
  /** The patcher is dead: nothing more is written. */
  static final class Died extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  final long start;
  final byte[] bytes;
  private long bytesUntilDeath = Long.MAX_VALUE;
  private long written;

  TargetBytes(long start, int size) {
    this(start, new byte[size]);
  }

  private TargetBytes(long start, byte[] bytes) {
    this.start = start;
    this.bytes = bytes;
  }

  TargetBytes copy() {
    return new TargetBytes(start, bytes.clone());
  }

  List<LedgerSegment> segment() {
    return List.of(new LedgerSegment(start, start + bytes.length));
  }

  Ledger ledger() {
    return new Ledger(this, segment());
  }

  /** How many bytes were written, by all writes together. */
  long written() {
    return written;
  }

  /** The patcher dies after as many bytes; a whole word that it has begun is written. */
  TargetBytes dyingAfter(long count) {
    bytesUntilDeath = count;
    return this;
  }

  @Override
  public @Nullable CodeBytes read(long address, int length) {
    if (length < 0 || address < start || address - start > bytes.length - length) {
      return null;
    }
    int at = (int) (address - start);
    return CodeBytes.copyOf(bytes, at, at + length);
  }

  @Override
  public void write(long address, CodeBytes part) {
    boolean isWord = part.length() == 8 && address % 8 == 0;
    int left = (int) Math.min(part.length(), bytesUntilDeath);
    int landing = isWord && left > 0 ? 8 : left;
    part.copyTo(0, bytes, Math.toIntExact(address - start), landing);
    written += landing;
    bytesUntilDeath -= left;
    if (bytesUntilDeath == 0) {
      throw new Died();
    }
  }
}
