package io.github.textpoke.process;

import com.google.common.annotations.VisibleForTesting;
import java.util.OptionalLong;

/**
 * Finds room for memory of ours near code: where nothing is mapped, and nothing will grow.
 *
 * <p>Below a stack and above the heap the kernel lets them grow ({@code mmap(2)}, MAP_GROWSDOWN;
 * {@code brk(2)}): what is mapped there would end the program's growth.
 */
public final class NearHole {
  /**
   * How far apart, in bytes, two places may be that reach each other by a signed 32-bit
   * displacement, with some room for the instruction itself.
   */
  public static final long REACH = (1L << 31) - (1 << 16);

  private static final long PAGE = 4096;

  /** The default of vm.mmap_min_addr. */
  private static final long LOWEST = 1 << 16;

  /** The end of user space, less a page (arch/x86/include/asm/page_64_types.h, TASK_SIZE_MAX). */
  private static final long HIGHEST = (1L << 47) - PAGE;

  /** What the heap may grow by before it meets us. */
  private static final long HEAP_GROWTH = 1L << 30;

  private NearHole() {}

  /**
   * The nearest hole all of which reaches all of what it is near to.
   *
   * @param map of the process
   * @param start absolute address of the first byte that must be reached
   * @param end absolute, behind the last
   * @param size bytes, whole pages
   * @return absolute address of its first page; empty where there is none
   */
  public static OptionalLong find(MemoryMap map, long start, long end, long size) {
    return find(map, start, end, size, REACH);
  }

  @VisibleForTesting
  static OptionalLong find(MemoryMap map, long start, long end, long size, long reach) {
    long lowest = Math.max(LOWEST, end - reach);
    long highest = Math.min(HIGHEST, start + reach);
    long best = -1;
    long bestDistance = Long.MAX_VALUE;
    long from = LOWEST;
    for (int i = 0; i <= map.mappings().size(); i++) {
      boolean isLast = i == map.mappings().size();
      long to = isLast ? HIGHEST : map.mappings().get(i).start();
      boolean stackAbove = !isLast && map.mappings().get(i).path().startsWith("[stack");
      if (!stackAbove && Long.compareUnsigned(to, HIGHEST) <= 0) {
        long low = roundUp(Math.max(from, lowest));
        long high = (Math.min(to, highest) & -PAGE) - size;
        if (low <= high) {
          // The end of the hole that is nearer.
          long at = high <= start ? high : low;
          long distance = at <= start ? start - (at + size) : at - end;
          if (distance < bestDistance) {
            best = at;
            bestDistance = distance;
          }
        }
      }
      if (!isLast) {
        Mapping mapping = map.mappings().get(i);
        from = mapping.end() + (mapping.path().equals("[heap]") ? HEAP_GROWTH : 0);
      }
    }
    return best < 0 ? OptionalLong.empty() : OptionalLong.of(best);
  }

  private static long roundUp(long address) {
    return address + PAGE - 1 & -PAGE;
  }
}
