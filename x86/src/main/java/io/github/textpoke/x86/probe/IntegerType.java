package io.github.textpoke.x86.probe;

/** How many of a register's lowest bits are a number, and whether that has a sign. */
public enum IntegerType {
  /** C's {@code signed char}, {@code int8_t}. */
  INT8(1, true),
  /** C's {@code bool}, {@code unsigned char}, {@code uint8_t}. */
  UINT8(1, false),
  /** C's {@code short}, {@code int16_t}. */
  INT16(2, true),
  /** C's {@code unsigned short}, {@code uint16_t}. */
  UINT16(2, false),
  /** C's {@code int}, {@code int32_t}. */
  INT32(4, true),
  /** C's {@code unsigned}, {@code uint32_t}. */
  UINT32(4, false),
  /** C's {@code long}, {@code ssize_t}, {@code int64_t}. */
  INT64(8, true),
  /** C's {@code unsigned long}, {@code size_t}, {@code uint64_t}, and pointers. */
  UINT64(8, false);

  private final int bytes;
  private final boolean isSigned;

  IntegerType(int bytes, boolean isSigned) {
    this.bytes = bytes;
    this.isSigned = isSigned;
  }

  /** 1, 2, 4 or 8. */
  public int bytes() {
    return bytes;
  }

  /** Whether its highest bit is a sign. */
  public boolean isSigned() {
    return isSigned;
  }

  /**
   * The number in a register. What the bits above it are is not defined (psABI 3.2.3), so they are
   * not looked at.
   *
   * @return of {@link #UINT64} as {@link Long#toUnsignedString(long)} reads it
   */
  public long in(long register) {
    int above = Long.SIZE - bytes * Byte.SIZE;
    return isSigned ? register << above >> above : register << above >>> above;
  }

  /** Whether there is such a number. */
  public boolean holds(long value) {
    return in(value) == value;
  }

  /** The number as people write it. */
  public String text(long value) {
    return isSigned ? Long.toString(value) : Long.toUnsignedString(value);
  }
}
