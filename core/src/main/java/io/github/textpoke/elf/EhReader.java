package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Walks the entries of one {@code .eh_frame}: tens of thousands in a large object. */
final class EhReader {
  /** Takes what an entry describes. */
  interface Visitor {
    /**
     * @param cursor behind the entry's range
     * @param end offset behind the entry
     */
    void entry(FunctionRange range, EhCursor.Cie cie, EhCursor cursor, long end);
  }

  /** Tells of executable bytes. */
  interface Code {
    /**
     * @param start address of the first byte
     * @param length at least 1
     */
    boolean isExecutable(long start, long length);
  }

  private final Code code;
  private final long address;
  private final ElfBytes bytes;

  /** By offset. */
  private final Map<Long, EhCursor.Cie> cies = new HashMap<>();

  /**
   * @param address of the section; all addresses are as this one, link-time or absolute
   * @param bytes the section
   */
  EhReader(Code code, long address, ElfBytes bytes) {
    this.code = code;
    this.address = address;
    this.bytes = bytes;
  }

  /** The ranges of all entries, sorted by start, each once. */
  ImmutableList<FunctionRange> ranges() {
    List<FunctionRange> found = new ArrayList<>();
    visit((range, cie, cursor, end) -> found.add(range));
    found.sort(
        Comparator.comparingLong(FunctionRange::start).thenComparingLong(FunctionRange::end));
    return withoutRepetitions(found);
  }

  /** Calls {@code visitor} for each entry of a range of executable bytes, in their order. */
  void visit(Visitor visitor) {
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
          visitEntry(start, start + length, start - cie, visitor);
        }
      }
      at = start + length;
    }
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

  private void visitEntry(long fde, long end, long offset, Visitor visitor) {
    EhCursor.Cie cie = cies.computeIfAbsent(offset, this::cie);
    EhCursor cursor = new EhCursor(bytes, fde + 4, address);
    long start = cursor.pointer(cie.addresses());
    long size = cursor.value(cie.addresses());
    if (cursor.offset() > end || end > bytes.size()) {
      throw bytes.bad("an entry of .eh_frame at offset " + fde + " is cut off");
    }
    // What the linker dropped stays as an entry for address 0.
    if (size > 0 && code.isExecutable(start, size)) {
      visitor.entry(new FunctionRange(start, start + size), cie, cursor, end);
    }
  }

  private EhCursor.Cie cie(long offset) {
    if (offset < 0 || bytes.u32(offset + 4) != 0) {
      throw bytes.bad("an entry of .eh_frame belongs to none at offset " + offset);
    }
    EhCursor cursor = new EhCursor(bytes, offset + 8, address);
    return cursor.cie(Math.min(bytes.size(), offset + 4 + bytes.u32(offset)));
  }
}
