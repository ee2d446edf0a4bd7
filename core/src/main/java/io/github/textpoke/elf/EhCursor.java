package io.github.textpoke.elf;

import io.github.textpoke.CodeBytes;

/**
 * Reads fields of {@code .eh_frame}, and of the tables of landing pads that it names, one after
 * another (LSB Core, "DWARF Exception Header Encoding").
 */
final class EhCursor {
  /** The encoding of what is not there. */
  static final int OMITTED = 0xff;

  private static final int RELATIVE_TO_FIELD = 0x10;
  private static final int RELATIVE_TO_FUNCTION = 0x40;
  private static final int LONGEST_LEB = 10;

  /**
   * What a CIE says of the entries that follow it.
   *
   * @param addresses encoding of addresses
   * @param tables encoding of the addresses of landing pad tables; {@link #OMITTED} where there are
   *     none
   * @param isAugmented whether its entries have augmentation data
   * @param isSignalFrame whether its functions are called by the kernel, in the midst of others
   * @param codeAlignment bytes, what distances in code are multiples of
   * @param dataAlignment bytes, what offsets on the stack are multiples of
   * @param returnAddress DWARF number of the register that stands for the return address
   * @param instructions offset of its first instruction
   * @param end offset behind its last one
   */
  record Cie(
      int addresses,
      int tables,
      boolean isAugmented,
      boolean isSignalFrame,
      long codeAlignment,
      long dataAlignment,
      long returnAddress,
      long instructions,
      long end) {}

  private final ElfBytes bytes;
  private final long address;
  private long at;

  /**
   * @param at offset of the first field to read
   * @param address link-time address of the section
   */
  EhCursor(ElfBytes bytes, long at, long address) {
    this.bytes = bytes;
    this.at = at;
    this.address = address;
  }

  /** Of the next field. */
  long offset() {
    return at;
  }

  /**
   * Reads a CIE from its version on.
   *
   * @param end offset behind it
   */
  Cie cie(long end) {
    int version = u8();
    if (version != 1 && version != 3 && version != 4) {
      throw bytes.bad("version " + version + " of .eh_frame is not known");
    }
    String augmentation = bytes.string(at);
    at += augmentation.length() + 1;
    if (version == 4) {
      at += 2; // sizes of addresses and of segment selectors
    }
    long codeAlignment = leb(false);
    long dataAlignment = leb(true);
    long returnAddress = version == 1 ? u8() : leb(false);
    int encoding = 0;
    int tables = OMITTED;
    boolean isSignalFrame = false;
    boolean isAugmented = !augmentation.isEmpty();
    long instructions = at;
    if (isAugmented) {
      if (augmentation.charAt(0) != 'z') {
        throw bytes.bad("augmentation '" + augmentation + "' of .eh_frame is not known");
      }
      long length = leb(false);
      instructions = at + length;
      if (length < 0 || length > end - at) {
        throw bytes.bad("an augmentation of .eh_frame is longer than what it belongs to");
      }
      for (int i = 1; i < augmentation.length(); i++) {
        switch (augmentation.charAt(i)) {
          case 'R' -> encoding = u8();
          case 'L' -> tables = u8();
          case 'P' -> value(u8());
          case 'S' -> isSignalFrame = true;
          case 'B', 'G' -> {}
          default -> throw bytes.bad("augmentation '" + augmentation + "' of .eh_frame");
        }
      }
    }
    if (at > end || (isAugmented && at > instructions)) {
      throw bytes.bad("an entry of .eh_frame that ends at offset " + end + " is cut off");
    }
    return new Cie(
        encoding,
        tables,
        isAugmented,
        isSignalFrame,
        codeAlignment,
        dataAlignment,
        returnAddress,
        instructions,
        end);
  }

  /** Reads an address. */
  long pointer(int encoding) {
    long base =
        switch (encoding & 0xf0) {
          case 0 -> 0;
          case RELATIVE_TO_FIELD -> address + at;
          default -> throw bytes.bad(unknown(encoding));
        };
    return base + value(encoding);
  }

  /** Reads an address that may be relative to {@code function}; 0 where there is none. */
  long pointer(int encoding, long function) {
    if ((encoding & 0xf0) != RELATIVE_TO_FUNCTION) {
      long field = address + at;
      long pointer = pointer(encoding);
      return (encoding & 0xf0) == RELATIVE_TO_FIELD && pointer == field ? 0 : pointer;
    }
    long distance = value(encoding);
    return distance == 0 ? 0 : function + distance;
  }

  /** Reads a number in the format of {@code encoding}, whatever it is relative to. */
  long value(int encoding) {
    return switch (encoding & 15) {
      case 1 -> leb(false);
      case 9 -> leb(true);
      case 2 -> bytes.u16(skip(2));
      case 10 -> (short) bytes.u16(skip(2));
      case 3 -> bytes.u32(skip(4));
      case 11 -> (int) bytes.u32(skip(4));
      case 0, 4, 12 -> bytes.u64(skip(8));
      default -> throw bytes.bad(unknown(encoding));
    };
  }

  /**
   * Passes over bytes.
   *
   * @param length how many
   * @param end offset that they must not pass
   */
  void skip(long length, long end) {
    if (length > end - at) {
      throw bytes.bad("an augmentation of .eh_frame is longer than what it belongs to");
    }
    at += length;
  }

  private long skip(int width) {
    long start = at;
    at += width;
    return start;
  }

  private static String unknown(int encoding) {
    return "address encoding 0x"
        + Integer.toHexString(encoding)
        + " of unwind information is not known";
  }

  int u8() {
    return bytes.u8(at++);
  }

  /** Reads a number without sign (DWARF 4, section 7.6); one beyond 63 bits is refused. */
  long uleb() {
    long value = leb(false);
    if (value < 0) {
      throw bytes.bad("a number of unwind information is too large");
    }
    return value;
  }

  private long leb(boolean signed) {
    long value = 0;
    for (int i = 0; i < LONGEST_LEB; i++) {
      int next = u8();
      value |= (long) (next & 0x7f) << 7 * i;
      if ((next & 0x80) == 0) {
        int width = 7 * (i + 1);
        return signed && width < 64 ? value << 64 - width >> 64 - width : value;
      }
    }
    throw bytes.bad("a number of unwind information is too long");
  }

  /** Reads a number with sign (DWARF 4, section 7.6). */
  long sleb() {
    return leb(true);
  }

  /** Reads bytes behind their number. */
  CodeBytes block() {
    long length = uleb();
    if (length > bytes.size()) {
      throw bytes.bad("a block of unwind information of " + length + " bytes");
    }
    return bytes.code(skip((int) length), (int) length);
  }
}
