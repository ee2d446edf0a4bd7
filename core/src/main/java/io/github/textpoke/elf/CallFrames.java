package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The call frame information of an object: for each address in its code, how the caller of that
 * code is found. Link-time addresses, unless it was read from memory. Immutable and thread-safe.
 *
 * <p>It goes by {@code .eh_frame} itself and not by the table for binary search in {@code
 * .eh_frame_hdr}: that is one more thing that can be wrong, and may be missing.
 *
 * <p>Source: LSB Core, "Exception Frames"; DWARF 4, section 6.4; for what gcc adds to it,
 * libgcc/unwind-dw2.c.
 */
public final class CallFrames {
  private static final CallFrames NONE = new CallFrames(ImmutableList.of(), Optional.empty());

  /** One entry (FDE). */
  record Entry(FunctionRange range, EhCursor.Cie cie, long instructions, long end) {}

  /** Sorted by start. */
  private final ImmutableList<Entry> entries;

  private final Optional<Source> source;

  /** Where the instructions are. */
  private record Source(ElfBytes bytes, long address) {}

  private CallFrames(ImmutableList<Entry> entries, Optional<Source> source) {
    this.entries = entries;
    this.source = source;
  }

  /**
   * Reads the entries of {@code .eh_frame}; without that section there are none. Their instructions
   * are read when they are asked for.
   *
   * @throws BadObjectException if one is malformed, or encodes addresses as no x86-64 compiler does
   */
  public static CallFrames of(ElfImage image) {
    Optional<Section> section = image.section(".eh_frame");
    Optional<ElfBytes> bytes = section.flatMap(image::contents);
    if (bytes.isEmpty()) {
      return NONE;
    }
    return of(image::isExecutable, section.get().address(), bytes.get());
  }

  /**
   * Reads the entries of an {@code .eh_frame} that stands in memory, up to its end, an entry of
   * length 0. All addresses are absolute then.
   *
   * @param object its name, for messages
   * @param address absolute, of the first entry
   * @param memory the bytes from there on; more may follow the table
   * @param code where the object's code is, absolute
   * @throws BadObjectException as {@link #of(ElfImage)}, or if the end is not among the bytes
   */
  public static CallFrames inMemory(
      String object, long address, CodeBytes memory, List<FunctionRange> code) {
    ElfBytes bytes = new ElfBytes(object, ByteBuffer.wrap(memory.toByteArray()));
    long end = 0;
    for (long length = bytes.u32(0); length != 0; length = bytes.u32(end)) {
      end += Integer.BYTES + length;
    }
    return of(
        (start, length) ->
            code.stream().anyMatch(range -> range.contains(start) && length <= range.end() - start),
        address,
        bytes.part(0, end, ".eh_frame"));
  }

  private static CallFrames of(EhReader.Code code, long address, ElfBytes bytes) {
    List<Entry> found = new ArrayList<>();
    new EhReader(code, address, bytes)
        .visit(
            (range, cie, cursor, end) -> {
              if (cie.isAugmented()) {
                cursor.skip(cursor.uleb(), end);
              }
              found.add(new Entry(range, cie, cursor.offset(), end));
            });
    found.sort(Comparator.comparing(entry -> entry.range().start(), Long::compareUnsigned));
    return new CallFrames(ImmutableList.copyOf(found), Optional.of(new Source(bytes, address)));
  }

  /** The ranges of all entries, sorted by start. */
  public ImmutableList<FunctionRange> ranges() {
    return entries.stream().map(Entry::range).collect(ImmutableList.toImmutableList());
  }

  /**
   * The row that holds for {@code address}; empty where no entry is for it.
   *
   * @throws BadObjectException if the instructions of the entry are malformed
   */
  public Optional<FrameRow> rowAt(long address) {
    return entryAt(address).map(entry -> program(entry).rowAt(address));
  }

  /**
   * All rows of the entry for {@code address}, by their start; none where there is no entry.
   *
   * @throws BadObjectException if its instructions are malformed
   */
  public ImmutableList<FrameRow> rowsAround(long address) {
    return entryAt(address).map(entry -> program(entry).rows()).orElse(ImmutableList.of());
  }

  private CallFrameProgram program(Entry entry) {
    Source from = source.orElseThrow();
    return new CallFrameProgram(from.bytes(), from.address(), entry);
  }

  /** That with the nearest start, where there are several. */
  private Optional<Entry> entryAt(long address) {
    int low = 0;
    int high = entries.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (Long.compareUnsigned(entries.get(middle).range().start(), address) <= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low == 0
        ? Optional.empty()
        : Optional.of(entries.get(low - 1)).filter(entry -> entry.range().contains(address));
  }
}
