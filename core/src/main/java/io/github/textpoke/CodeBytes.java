package io.github.textpoke;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkPositionIndexes;

import com.google.common.io.BaseEncoding;
import com.google.errorprone.annotations.Immutable;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Locale;

/**
 * An immutable run of machine code bytes, without an address. No {@code byte[]} crosses the public
 * API, so that nobody can change a plan after it was checked.
 */
@Immutable
public final class CodeBytes {
  /** No bytes. */
  public static final CodeBytes EMPTY = new CodeBytes(new byte[0]);

  private static final BaseEncoding HEX = BaseEncoding.base16().lowerCase();

  @SuppressWarnings("Immutable") // never handed out, never written after construction
  private final byte[] bytes;

  private CodeBytes(byte[] bytes) {
    this.bytes = bytes;
  }

  /** A copy of {@code bytes}. */
  public static CodeBytes of(byte... bytes) {
    return bytes.length == 0 ? EMPTY : new CodeBytes(bytes.clone());
  }

  /** The low eight bits of each of {@code values}: convenient in tests, {@code of(0x0f, 0x05)}. */
  public static CodeBytes of(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      checkArgument(values[i] >= -128 && values[i] <= 255, "not a byte: %s", values[i]);
      bytes[i] = (byte) values[i];
    }
    return new CodeBytes(bytes);
  }

  /** A copy of {@code bytes[from..to)}. */
  public static CodeBytes copyOf(byte[] bytes, int from, int to) {
    checkPositionIndexes(from, to, bytes.length);
    return new CodeBytes(Arrays.copyOfRange(bytes, from, to));
  }

  /** A copy of what is between position and limit of {@code bytes}, which stay as they are. */
  public static CodeBytes copyOf(ByteBuffer bytes) {
    byte[] copy = new byte[bytes.remaining()];
    bytes.get(bytes.position(), copy);
    return new CodeBytes(copy);
  }

  /** {@code count} times the byte {@code value}. */
  public static CodeBytes filled(int count, int value) {
    byte[] bytes = new byte[count];
    Arrays.fill(bytes, (byte) value);
    return new CodeBytes(bytes);
  }

  /**
   * Parses hexadecimal digits; white space between bytes is allowed: {@code "0f 1f 44 00 00"}.
   *
   * @throws IllegalArgumentException if it is not an even number of hexadecimal digits
   */
  public static CodeBytes ofHex(String hex) {
    return new CodeBytes(HEX.decode(hex.replaceAll("\\s+", "").toLowerCase(Locale.ROOT)));
  }

  /** The number of bytes. */
  public int length() {
    return bytes.length;
  }

  /** The byte at {@code index}, 0 to 255. */
  public int at(int index) {
    return bytes[index] & 0xff;
  }

  /** The bytes from {@code from}, inclusive, to {@code to}, exclusive. */
  public CodeBytes slice(int from, int to) {
    return copyOf(bytes, from, to);
  }

  /** These bytes and behind them {@code tail}. */
  public CodeBytes concat(CodeBytes tail) {
    byte[] both = Arrays.copyOf(bytes, bytes.length + tail.bytes.length);
    System.arraycopy(tail.bytes, 0, both, bytes.length, tail.bytes.length);
    return new CodeBytes(both);
  }

  /** These bytes with those from {@code at} on replaced by {@code part}. */
  public CodeBytes with(int at, CodeBytes part) {
    checkPositionIndexes(at, at + part.length(), bytes.length);
    byte[] copy = bytes.clone();
    System.arraycopy(part.bytes, 0, copy, at, part.bytes.length);
    return new CodeBytes(copy);
  }

  /** A fresh array with these bytes. */
  public byte[] toByteArray() {
    return bytes.clone();
  }

  /** Copies {@code length} bytes from {@code from} to {@code target[at..]}; allocates nothing. */
  public void copyTo(int from, byte[] target, int at, int length) {
    System.arraycopy(bytes, from, target, at, length);
  }

  /** As {@link #copyTo(int, byte[], int, int)}, to the index {@code at}; its position stays. */
  public void copyTo(int from, ByteBuffer target, int at, int length) {
    target.put(at, bytes, from, length);
  }

  /** Lower-case hexadecimal digits, a space between bytes: {@code 0f 1f 44 00 00}. */
  public String hex() {
    return HEX.withSeparator(" ", 2).encode(bytes);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CodeBytes that && Arrays.equals(bytes, that.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }

  /** As {@link #hex()}. */
  @Override
  public String toString() {
    return hex();
  }
}
