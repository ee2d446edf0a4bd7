package io.github.textpoke.x86.livepatch;

import io.github.textpoke.apply.ObjectMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.LongPredicate;
import java.util.regex.Pattern;

/**
 * What the program's unwinder, told of an object, has kept of it in memory that it has given back
 * since: pointers into the table of frames, and the lowest address of a function (libgcc,
 * unwind-dw2-fde.h, struct object and fde_vector). Nobody goes by these words any more.
 */
final class UnwinderWords implements LongPredicate {
  /** Of the length before each entry. */
  private static final int LENGTH = Integer.BYTES;

  private final long start;
  private final long end;
  private final long lowest;

  private UnwinderWords(long start, long end, long lowest) {
    this.start = start;
    this.end = end;
    this.lowest = lowest;
  }

  /**
   * Those of an object's table.
   *
   * @param notes of the object's live patch
   */
  static LongPredicate of(ObjectMemory memory, PatchNotes notes) {
    long table = notes.frames();
    if (table == 0) {
      return address -> false;
    }
    int size =
        memory.mapped(Pattern.compile(Pattern.quote(PatchHeader.name(notes.id())))).stream()
            .filter(mapping -> mapping.contains(table))
            .mapToInt(mapping -> (int) (mapping.end() - table))
            .findFirst()
            .orElse(0);
    ByteBuffer bytes =
        ByteBuffer.wrap(memory.read(table, size).toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
    long lowest = Long.MAX_VALUE;
    int at = 0;
    while (at + 3 * Integer.BYTES <= size && bytes.getInt(at) > 0) {
      int field = at + LENGTH + Integer.BYTES;
      if (bytes.getInt(at + LENGTH) != 0) {
        // Of a function: gcc and clang write its start as a displacement from this field.
        lowest = Math.min(lowest, table + field + bytes.getInt(field));
      }
      at += LENGTH + bytes.getInt(at);
    }
    return new UnwinderWords(table, table + at, lowest);
  }

  @Override
  public boolean test(long address) {
    return (address >= start && address < end) || address == lowest;
  }
}
