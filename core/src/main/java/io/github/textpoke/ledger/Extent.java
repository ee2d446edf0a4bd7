package io.github.textpoke.ledger;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * A stretch of memory of ours in a target.
 *
 * @param start absolute address of the first byte
 * @param length bytes, at least one
 */
public record Extent(long start, long length) {
  /** Checks the length. */
  public Extent {
    checkArgument(length > 0, "an extent of %s bytes", length);
  }

  /** The absolute address behind the last byte. */
  public long end() {
    return start + length;
  }

  /** Whether the absolute {@code address} lies inside. */
  public boolean contains(long address) {
    return address >= start && address < end();
  }

  /** Whether the two share a byte. */
  public boolean overlaps(Extent other) {
    return start < other.end() && other.start < end();
  }
}
