package io.github.textpoke.elf;

/**
 * Where a function, or a part of one, stands.
 *
 * @param start link-time address of its first byte
 * @param end link-time address behind its last byte
 */
public record FunctionRange(long start, long end) {
  /** Whether the link-time {@code address} lies inside. */
  public boolean contains(long address) {
    return Long.compareUnsigned(address, start) >= 0 && Long.compareUnsigned(address, end) < 0;
  }
}
