package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Walks the entries of one {@code .eh_frame}: tens of thousands in a large object. */
final class EhReader {
  private final ElfImage image;
  private final long address;
  private final ElfBytes bytes;

  /** Encoding of addresses by the offset of the CIE that says it. */
  private final Map<Long, Integer> encodings = new HashMap<>();

  /**
   * @param address link-time address of the section
   * @param bytes the section
   */
  EhReader(ElfImage image, long address, ElfBytes bytes) {
    this.image = image;
    this.address = address;
    this.bytes = bytes;
  }

  /** The ranges of all entries, sorted by start, each once. */
  ImmutableList<FunctionRange> read() {
    List<FunctionRange> found = new ArrayList<>();
    long at = 0;
    while (at + 4 <= bytes.size()) {
      long length = bytes.u32(at);
      long start = at + 4;
      if (length == 0xffff_ffffL) {
        throw bytes.bad(".eh_frame has 64-bit lengths, which nobody writes");
      }
      // A length of 0 ends the part of one input file; more may follow.
      if (length != 0) {
        long cie = bytes.u32(start);
        if (cie != 0) {
          addRange(start, start + length, start - cie, found);
        }
      }
      at = start + length;
    }
    found.sort(
        Comparator.comparingLong(FunctionRange::start).thenComparingLong(FunctionRange::end));
    return withoutRepetitions(found);
  }

  private static ImmutableList<FunctionRange> withoutRepetitions(List<FunctionRange> sorted) {
    ImmutableList.Builder<FunctionRange> ranges =
        ImmutableList.builderWithExpectedSize(sorted.size());
    long lastStart = 0;
    long lastEnd = 0;
    for (FunctionRange range : sorted) {
      if (range.start() != lastStart || range.end() != lastEnd) {
        ranges.add(range);
      }
      lastStart = range.start();
      lastEnd = range.end();
    }
    return ranges.build();
  }

  private void addRange(long fde, long end, long cie, List<FunctionRange> found) {
    int encoding = encodings.computeIfAbsent(cie, this::encoding);
    EhCursor cursor = new EhCursor(bytes, fde + 4, address);
    long start = cursor.pointer(encoding);
    long size = cursor.value(encoding);
    if (cursor.offset() > end || end > bytes.size()) {
      throw bytes.bad("an entry of .eh_frame at offset " + fde + " is cut off");
    }
    // What the linker dropped stays as an entry for address 0.
    if (size > 0 && image.isExecutable(start, size)) {
      found.add(new FunctionRange(start, start + size));
    }
  }

  private int encoding(long cie) {
    if (cie < 0 || bytes.u32(cie + 4) != 0) {
      throw bytes.bad("an entry of .eh_frame belongs to none at offset " + cie);
    }
    EhCursor cursor = new EhCursor(bytes, cie + 8, address);
    int encoding = cursor.encodingOfCie();
    if (cursor.offset() > cie + 4 + bytes.u32(cie)) {
      throw bytes.bad("an entry of .eh_frame at offset " + cie + " is cut off");
    }
    return encoding;
  }
}
