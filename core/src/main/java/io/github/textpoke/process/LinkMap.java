package io.github.textpoke.process;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * The loader's own list of what it has loaded, read out of the target's memory: its order is that
 * in which symbols are looked up, the executable first. Objects that were loaded by {@code dlopen}
 * stand at its end, also those that are no part of the global scope ({@code RTLD_LOCAL}); those of
 * other namespaces ({@code dlmopen}) are not in it.
 *
 * <p>Source: {@code struct r_debug} and {@code struct link_map} of {@code <link.h>}; System V ABI,
 * "Dynamic Section", {@code DT_DEBUG}.
 */
final class LinkMap {
  private static final long DT_DEBUG = 21;
  private static final int DYNAMIC_ENTRY = 16;
  private static final int MOST_DYNAMIC = 1 << 16;

  /** Somebody may have written a circle. */
  private static final int MOST_OBJECTS = 1 << 14;

  private static final int MAP_OF_DEBUG = 8;
  private static final int LINK_MAP_SIZE = 40;
  private static final int DYNAMIC_OF_LINK = 16;
  private static final int NEXT_OF_LINK = 24;

  /**
   * A loaded object.
   *
   * @param bias what to add to a link-time address
   * @param dynamic absolute address of its dynamic section
   */
  record Entry(long bias, long dynamic) {}

  private LinkMap() {}

  /**
   * The list, if {@code executable} has one: a static program has none, nor has one whose loader
   * has not come to it.
   *
   * @throws BadObjectException if the list does not end
   */
  static Optional<ImmutableList<Entry>> read(LoadedObject executable, MemoryReader memory) {
    return debug(executable, memory).map(debug -> entries(executable, memory, debug));
  }

  private static Optional<Long> debug(LoadedObject executable, MemoryReader memory) {
    Optional<LoadedObject.Range> dynamic = executable.dynamicSegment();
    if (dynamic.isEmpty()) {
      return Optional.empty();
    }
    int size = (int) Math.min(MOST_DYNAMIC, dynamic.get().size());
    ByteBuffer entries = read(memory, dynamic.get().address(), size);
    for (int at = 0; at + DYNAMIC_ENTRY <= size && entries.getLong(at) != 0; at += DYNAMIC_ENTRY) {
      if (entries.getLong(at) == DT_DEBUG && entries.getLong(at + 8) != 0) {
        return Optional.of(entries.getLong(at + 8));
      }
    }
    return Optional.empty();
  }

  private static ImmutableList<Entry> entries(
      LoadedObject executable, MemoryReader memory, long debug) {
    ImmutableList.Builder<Entry> entries = ImmutableList.builder();
    long link = read(memory, debug + MAP_OF_DEBUG, Long.BYTES).getLong(0);
    for (int i = 0; link != 0; i++) {
      if (i == MOST_OBJECTS) {
        throw new BadObjectException(
            executable.path(), "the loader's list of objects has more than " + MOST_OBJECTS);
      }
      ByteBuffer one = read(memory, link, LINK_MAP_SIZE);
      entries.add(new Entry(one.getLong(0), one.getLong(DYNAMIC_OF_LINK)));
      link = one.getLong(NEXT_OF_LINK);
    }
    return entries.build();
  }

  private static ByteBuffer read(MemoryReader memory, long address, int length) {
    return ByteBuffer.wrap(memory.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
