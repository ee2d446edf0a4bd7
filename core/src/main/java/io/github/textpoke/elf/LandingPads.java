package io.github.textpoke.elf;

import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.PatchException.BadObjectException;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.LongStream;

/**
 * The places in an object's code at which an exception that unwinds the stack goes on: handlers and
 * cleanups. No branch leads to them; the unwinder jumps there. Link-time addresses. Immutable and
 * thread-safe.
 *
 * <p>They stand in the language-specific data that {@code .eh_frame} names per function, usually
 * {@code .gcc_except_table}. Its format belongs to the personality routine; this is that of gcc,
 * clang and rustc for C, C++, Objective-C, Go, Ada and Rust. A table that is none by this format,
 * or whose pads are no code, is refused.
 *
 * <p>Source: gcc, libgcc/unwind-c.c and libstdc++-v3/libsupc++/eh_personality.cc; LSB Core, "DWARF
 * Exception Header Encoding".
 */
public final class LandingPads {
  private final ImmutableLongArray pads;

  private LandingPads(ImmutableLongArray pads) {
    this.pads = pads;
  }

  /**
   * Reads the tables that {@code .eh_frame} names; without that section there are no pads.
   *
   * @throws BadObjectException if it or one of the tables is malformed, or encodes addresses as no
   *     x86-64 compiler does
   */
  public static LandingPads of(ElfImage image) {
    Optional<Section> section = image.section(".eh_frame");
    Optional<ElfBytes> bytes = section.flatMap(image::contents);
    if (bytes.isEmpty()) {
      return new LandingPads(ImmutableLongArray.of());
    }
    PadReader reader = new PadReader(image);
    new EhReader(image::isExecutable, section.get().address(), bytes.get()).visit(reader);
    long[] sorted = LongStream.of(reader.pads().toArray()).sorted().distinct().toArray();
    return new LandingPads(ImmutableLongArray.copyOf(sorted));
  }

  /** All pads, sorted. */
  public ImmutableLongArray all() {
    return pads;
  }

  /** The first pad in {@code [from, to)}. */
  public OptionalLong firstIn(long from, long to) {
    ImmutableLongArray in = in(from, to);
    return in.isEmpty() ? OptionalLong.empty() : OptionalLong.of(in.get(0));
  }

  /** The pads in {@code [from, to)}, sorted. */
  public ImmutableLongArray in(long from, long to) {
    int first = firstFrom(from);
    return pads.subArray(first, Math.max(first, firstFrom(to)));
  }

  private int firstFrom(long address) {
    int low = 0;
    int high = pads.length();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (pads.get(middle) < address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
