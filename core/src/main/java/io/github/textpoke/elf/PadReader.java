package io.github.textpoke.elf;

import com.google.common.primitives.ImmutableLongArray;

/**
 * Reads the tables of landing pads that entries of {@code .eh_frame} name. A table:
 *
 * <pre>
 *   u8    encoding of the base of the pads, or omitted: then the base is the function's start
 *   ...   that base
 *   u8    encoding of types, or omitted
 *   uleb  offset of the types, if they are not omitted
 *   u8    encoding of the calls
 *   uleb  bytes of the calls
 *         for each: start, length, pad (0: none), all relative; uleb action
 * </pre>
 */
final class PadReader implements EhReader.Visitor {
  /** How often all bytes of the object may be read as tables: real ones do not share any. */
  private static final int SHARING = 4;

  private final ElfImage image;
  private final LoadedBytes loaded;
  private final ImmutableLongArray.Builder pads = ImmutableLongArray.builder();
  private long budget;

  PadReader(ElfImage image) {
    this.image = image;
    this.loaded = LoadedBytes.of(image);
    this.budget = (long) SHARING * image.bytes().size();
  }

  /** Those found so far, in the order of their tables. */
  ImmutableLongArray pads() {
    return pads.build();
  }

  @Override
  public void entry(FunctionRange range, EhCursor.Cie cie, EhCursor cursor, long end) {
    if (!cie.isAugmented()) {
      return;
    }
    long length = cursor.uleb();
    if (cie.tables() == EhCursor.OMITTED) {
      return;
    }
    long from = cursor.offset();
    long table = cursor.pointer(cie.tables(), range.start());
    if (cursor.offset() - from > length || cursor.offset() > end) {
      throw image.bad("an entry of .eh_frame is cut off in its augmentation");
    }
    if (table != 0) {
      readTable(range, table);
    }
  }

  private void readTable(FunctionRange function, long table) {
    ElfBytes bytes =
        loaded
            .from(table, false)
            .orElseThrow(() -> image.bad("no table of landing pads at 0x%x".formatted(table)));
    EhCursor cursor = new EhCursor(bytes, 0, table);
    int baseEncoding = cursor.u8();
    long base =
        baseEncoding == EhCursor.OMITTED
            ? function.start()
            : cursor.pointer(baseEncoding, function.start());
    if (cursor.u8() != EhCursor.OMITTED) {
      cursor.uleb();
    }
    int encoding = cursor.u8();
    if ((encoding & 0xf0) != 0) {
      throw image.bad("calls of encoding 0x%x in a table of landing pads".formatted(encoding));
    }
    long size = cursor.uleb();
    long end = cursor.offset() + size;
    budget -= size;
    if (end < 0 || end > bytes.size() || budget < 0) {
      throw image.bad("the table of landing pads at 0x%x is too long".formatted(table));
    }
    while (cursor.offset() < end) {
      readCall(function, base, cursor, encoding);
    }
    if (cursor.offset() != end) {
      throw image.bad("the table of landing pads at 0x%x is cut off".formatted(table));
    }
  }

  private void readCall(FunctionRange function, long base, EhCursor cursor, int encoding) {
    long start = cursor.value(encoding);
    long length = cursor.value(encoding);
    long pad = cursor.value(encoding);
    cursor.uleb(); // what to do there
    long size = function.end() - function.start();
    if (start < 0 || length < 0 || length > size || start > size - length) {
      throw image.bad("a call with a landing pad lies outside of " + function);
    }
    if (pad != 0) {
      if (!loaded.isExecutable(base + pad)) {
        throw image.bad("a landing pad of %s is no code: 0x%x".formatted(function, base + pad));
      }
      pads.add(base + pad);
    }
  }
}
