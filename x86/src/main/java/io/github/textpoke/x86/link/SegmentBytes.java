package io.github.textpoke.x86.link;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.ObjectRefusedException;
import io.github.textpoke.elf.Segment;
import io.github.textpoke.x86.link.LinkedSegment.Protection;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The bytes of one segment while it is linked. Link-time addresses. Not thread-safe. */
final class SegmentBytes {
  private final PatchObject object;
  private final Segment segment;
  private final long firstPage;

  /** From the first page to the last byte of the file; what the file lacks before it is zero. */
  private final ByteBuffer bytes;

  SegmentBytes(PatchObject object, Segment segment) {
    this.object = object;
    this.segment = segment;
    this.firstPage = PatchObject.pageOf(segment.address());
    int skipped = (int) (segment.address() - firstPage);
    this.bytes =
        ByteBuffer.allocate(skipped + (int) segment.fileSize()).order(ByteOrder.LITTLE_ENDIAN);
    CodeBytes file = object.image().contents(segment);
    file.copyTo(0, bytes.array(), skipped, file.length());
  }

  boolean contains(long address) {
    return segment.contains(address);
  }

  boolean isWritable() {
    return segment.isWritable();
  }

  long word(long address) {
    return bytes.getLong(index(address, Long.BYTES));
  }

  void putWord(long address, long value) {
    bytes.putLong(index(address, Long.BYTES), value);
  }

  void putInt(long address, int value) {
    bytes.putInt(index(address, Integer.BYTES), value);
  }

  private int index(long address, int width) {
    long index = address - firstPage;
    if (!segment.contains(address) || index > bytes.limit() - width) {
      throw object.bad("the file holds no %d bytes at 0x%x".formatted(width, address));
    }
    return (int) index;
  }

  /**
   * Its pages, moved by {@code bias}: one run of them, or several where a part of it is read-only
   * once it is relocated.
   */
  ImmutableList<LinkedSegment> linked(long bias) {
    long end = PatchObject.pageBehind(segment.end());
    if (!segment.isWritable()) {
      return ImmutableList.of(
          pages(
              firstPage,
              end,
              segment.isExecutable() ? Protection.READ_EXECUTE : Protection.READ,
              bias));
    }
    if (segment.isExecutable()) {
      throw new ObjectRefusedException(
          object.name(),
          segment.address(),
          "a segment that is writable and executable",
          "link without -N and -z execstack, and put no code into a writable section");
    }
    long from = end;
    long to = end;
    for (Segment relro : object.image().segments()) {
      if (relro.isReadOnlyAfterRelocation() && segment.contains(relro.address())) {
        // As glibc's _dl_protect_relro: a page that is not all of it stays writable.
        from = PatchObject.pageOf(relro.address());
        to = Math.max(from, Math.min(end, PatchObject.pageOf(relro.end())));
      }
    }
    ImmutableList.Builder<LinkedSegment> parts = ImmutableList.builder();
    addPages(parts, firstPage, from, Protection.READ_WRITE, bias);
    addPages(parts, from, to, Protection.READ, bias);
    addPages(parts, to, end, Protection.READ_WRITE, bias);
    return parts.build();
  }

  private void addPages(
      ImmutableList.Builder<LinkedSegment> parts,
      long from,
      long to,
      Protection protection,
      long bias) {
    if (from < to) {
      parts.add(pages(from, to, protection, bias));
    }
  }

  private LinkedSegment pages(long from, long to, Protection protection, long bias) {
    int first = (int) Math.min(bytes.limit(), from - firstPage);
    int behind = (int) Math.min(bytes.limit(), to - firstPage);
    return new LinkedSegment(
        from + bias, to - from, protection, CodeBytes.copyOf(bytes.array(), first, behind));
  }
}
