package io.github.textpoke.elf;

/**
 * Reads fields of {@code .eh_frame} one after another (LSB Core, "DWARF Exception Header
 * Encoding").
 */
final class EhCursor {
  private static final int RELATIVE_TO_FIELD = 0x10;

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

  /** Reads a CIE from its version on: the encoding of addresses in the entries that follow it. */
  int encodingOfCie() {
    int version = u8();
    if (version != 1 && version != 3 && version != 4) {
      throw bytes.bad("version " + version + " of .eh_frame is not known");
    }
    String augmentation = bytes.string(at);
    at += augmentation.length() + 1;
    if (version == 4) {
      at += 2; // sizes of addresses and of segment selectors
    }
    skipLeb(); // code alignment
    skipLeb(); // data alignment
    if (version == 1) {
      u8();
    } else {
      skipLeb(); // register of the return address
    }
    if (augmentation.isEmpty()) {
      return 0;
    }
    if (augmentation.charAt(0) != 'z') {
      throw bytes.bad("augmentation '" + augmentation + "' of .eh_frame is not known");
    }
    skipLeb(); // length of the augmentation
    int encoding = 0;
    for (int i = 1; i < augmentation.length(); i++) {
      switch (augmentation.charAt(i)) {
        case 'R' -> encoding = u8();
        case 'L' -> u8();
        case 'P' -> value(u8());
        case 'S', 'B', 'G' -> {}
        default -> throw bytes.bad("augmentation '" + augmentation + "' of .eh_frame");
      }
    }
    return encoding;
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

  /** Reads a number in the format of {@code encoding}, whatever it is relative to. */
  long value(int encoding) {
    return switch (encoding & 15) {
      case 2 -> bytes.u16(skip(2));
      case 10 -> (short) bytes.u16(skip(2));
      case 3 -> bytes.u32(skip(4));
      case 11 -> (int) bytes.u32(skip(4));
      case 0, 4, 12 -> bytes.u64(skip(8));
      default -> throw bytes.bad(unknown(encoding));
    };
  }

  private long skip(int width) {
    long start = at;
    at += width;
    return start;
  }

  private static String unknown(int encoding) {
    return "address encoding 0x" + Integer.toHexString(encoding) + " of .eh_frame is not known";
  }

  private int u8() {
    return bytes.u8(at++);
  }

  private void skipLeb() {
    while ((u8() & 0x80) != 0) {
      // the last byte has no top bit
    }
  }
}
