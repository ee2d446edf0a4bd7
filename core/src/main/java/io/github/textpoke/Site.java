package io.github.textpoke;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * An address in the target and the bytes expected there.
 *
 * @param address absolute, unsigned
 * @param bytes what must stand there, at least one byte
 */
public record Site(long address, CodeBytes bytes) {
  /** Checks that there is at least one byte and that the site does not wrap around. */
  public Site {
    checkArgument(bytes.length() > 0, "a site has at least one byte");
    checkArgument(
        Long.compareUnsigned(address + bytes.length() - 1, address) >= 0,
        "site wraps around: 0x%s",
        Long.toHexString(address));
  }

  /** The number of bytes. */
  public int length() {
    return bytes.length();
  }

  /** The address behind the last byte. */
  public long end() {
    return address + bytes.length();
  }

  /** Whether {@code other} and this share a byte. */
  public boolean overlaps(Site other) {
    return Long.compareUnsigned(address, other.end()) < 0
        && Long.compareUnsigned(other.address, end()) < 0;
  }

  @Override
  public String toString() {
    return "0x" + Long.toHexString(address) + " [" + bytes + "]";
  }
}
