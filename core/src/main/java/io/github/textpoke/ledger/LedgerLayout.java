package io.github.textpoke.ledger;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * How a segment lies in memory, version 1. Little-endian; a record begins at a multiple of 8. The
 * records fill the segment without a gap: what is free is a record too, whose state is reverted and
 * whose body means nothing.
 *
 * <pre>
 *   segment                                  record
 *   +0   u64  magic                          +0   u64  checked: length of the record in bytes
 *   +8   u32  version                        +8   u64  progress, see Progress
 *   +12  u32  size of the segment in bytes   +16  u32  CRC-32C of all that follows in the body
 *   +16  u32  CRC-32C of the 16 bytes above  +20  u32  length of the note in bytes
 *   +20  u32  0                              +24  note: see NoteBytes
 *   +24  u64  checked: the highest id given  then, to a multiple of 8, bytes that mean nothing
 *   +32  records
 * </pre>
 *
 * <p>Whatever means something changes by one aligned word, which says itself whether it is whole:
 * so a patcher can be killed between any two writes, and what it leaves is a ledger.
 */
final class LedgerLayout {
  /** Reads "tpledger" in a dump. */
  static final long MAGIC = 0x7265_6764_656c_7074L;

  static final int VERSION = 1;

  static final int MAGIC_AT = 0;
  static final int VERSION_AT = 8;
  static final int SIZE_AT = 12;
  static final int HEADER_CRC_AT = 16;
  static final int HIGHEST_ID_AT = 24;

  /** Where the first record begins. */
  static final int RECORDS = 32;

  /** Offset of a record's progress word. */
  static final int PROGRESS = 8;

  /** Offset of a record's body, and the length of the shortest record: a free one without. */
  static final int BODY = 16;

  /** Offset of a record's note. */
  static final int NOTE = 24;

  /** No segment of ours is longer; it is read in one go. */
  static final int LONGEST_SEGMENT = 1 << 24;

  private static final int VALUE_BITS = 48;

  /** The greatest value of a checked word; no id is greater. */
  static final long GREATEST_VALUE = (1L << VALUE_BITS) - 1;

  private LedgerLayout() {}

  /** A word that holds {@code value} and a check of it: it is whole or known to be damaged. */
  static long checked(long value) {
    checkArgument(value >= 0 && value <= GREATEST_VALUE, "value %s", value);
    return (long) crc(littleEndian(8).putLong(value).array(), 0, 8) << VALUE_BITS | value;
  }

  /** The value in a checked word; -1 if the word is damaged. */
  static long value(long word) {
    long value = word & GREATEST_VALUE;
    return checked(value) == word ? value : -1;
  }

  /** CRC-32C of {@code bytes[from..to)}. */
  static int crc(byte[] bytes, int from, int to) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, to - from);
    return (int) crc.getValue();
  }

  /** A zeroed buffer. */
  static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
