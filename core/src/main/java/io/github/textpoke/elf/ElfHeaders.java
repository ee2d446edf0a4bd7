package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;

/**
 * Reads the three kinds of headers of an object (System V ABI, "Object Files": "ELF Header",
 * "Program Header", "Section Header").
 */
final class ElfHeaders {
  private static final int MAGIC = 0x464c_457f;
  private static final int HEADER_SIZE = 64;
  private static final int PROGRAM_HEADER_SIZE = 56;
  private static final int SECTION_HEADER_SIZE = 64;
  private static final int X86_64 = 62;

  private ElfHeaders() {}

  static void checkIdentity(ElfBytes bytes) {
    if (bytes.size() < HEADER_SIZE || (int) bytes.u32(0) != MAGIC) {
      throw bytes.bad("no ELF object");
    }
    if (bytes.u8(4) != 2 || bytes.u8(5) != 1 || bytes.u16(18) != X86_64) {
      throw bytes.bad("not a 64-bit little-endian x86-64 object");
    }
  }

  static ImmutableList<Segment> segments(ElfBytes bytes) {
    int count = bytes.u16(56);
    if (count == 0) {
      return ImmutableList.of();
    }
    if (bytes.u16(54) != PROGRAM_HEADER_SIZE) {
      throw bytes.bad("program headers of " + bytes.u16(54) + " bytes");
    }
    ElfBytes table =
        bytes.part(bytes.u64(32), (long) count * PROGRAM_HEADER_SIZE, "program header table");
    ImmutableList.Builder<Segment> segments = ImmutableList.builderWithExpectedSize(count);
    for (int i = 0; i < count; i++) {
      segments.add(readSegment(table, (long) i * PROGRAM_HEADER_SIZE));
    }
    return segments.build();
  }

  private static Segment readSegment(ElfBytes table, long at) {
    Segment segment =
        new Segment(
            (int) table.u32(at),
            (int) table.u32(at + 4),
            table.u64(at + 8),
            table.u64(at + 16),
            table.u64(at + 32),
            table.u64(at + 40),
            table.u64(at + 48));
    boolean inRange =
        segment.offset() >= 0
            && segment.fileSize() >= 0
            && segment.offset() + segment.fileSize() >= 0
            && segment.address() >= 0
            && segment.memorySize() >= 0
            && segment.end() >= 0;
    if (segment.isLoaded() && !inRange) {
      throw table.bad("a segment wraps around: " + segment);
    }
    return segment;
  }

  static ImmutableList<Section> sections(ElfBytes bytes) {
    long offset = bytes.u64(40);
    if (offset == 0) {
      return ImmutableList.of();
    }
    if (bytes.u16(58) != SECTION_HEADER_SIZE) {
      throw bytes.bad("section headers of " + bytes.u16(58) + " bytes");
    }
    long count = bytes.u16(60);
    if (count == 0) {
      // More than 65279 sections: the first header holds the number ("Section Header", sh_size).
      count = bytes.part(offset, SECTION_HEADER_SIZE, "section header table").u64(32);
    }
    if (count < 0 || count > bytes.size() / SECTION_HEADER_SIZE) {
      throw bytes.bad("section header table lies outside of the " + bytes.size() + " bytes");
    }
    ElfBytes table = bytes.part(offset, count * SECTION_HEADER_SIZE, "section header table");
    ImmutableList.Builder<Section> sections = ImmutableList.builderWithExpectedSize((int) count);
    for (long at = 0; at < table.size(); at += SECTION_HEADER_SIZE) {
      sections.add(
          new Section(
              table.u32(at),
              table.u32(at + 4),
              table.u64(at + 8),
              table.u64(at + 16),
              table.u64(at + 24),
              table.u64(at + 32),
              (int) table.u32(at + 40)));
    }
    return sections.build();
  }
}
