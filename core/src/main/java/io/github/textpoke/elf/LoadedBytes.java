package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import java.util.Comparator;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The bytes of an object as the loader places them, by link-time address and before it relocates
 * any: code, and the tables that code reads. Immutable and thread-safe.
 *
 * <p>Source: System V ABI, "Program Header", "Program Loading".
 */
public final class LoadedBytes {
  /** More than any instruction set needs that is read from ELF objects here. */
  private static final int LONGEST_INSTRUCTION = 16;

  private final ElfImage image;
  private final ImmutableList<FunctionRange> executable;

  private LoadedBytes(ElfImage image, ImmutableList<FunctionRange> executable) {
    this.image = image;
    this.executable = executable;
  }

  /**
   * Those of {@code image}.
   *
   * @throws BadObjectException if sections of code overlap
   */
  public static LoadedBytes of(ElfImage image) {
    ImmutableList<FunctionRange> executable = executable(image);
    for (int i = 1; i < executable.size(); i++) {
      if (executable.get(i).start() < executable.get(i - 1).end()) {
        throw image.bad("code overlaps at 0x%x".formatted(executable.get(i).start()));
      }
    }
    return new LoadedBytes(image, executable);
  }

  private static ImmutableList<FunctionRange> executable(ElfImage image) {
    ImmutableList<FunctionRange> sections =
        image.sections().stream()
            .filter(Section::isCode)
            .filter(section -> image.isExecutable(section.address(), section.size()))
            .map(
                section -> new FunctionRange(section.address(), section.address() + section.size()))
            .sorted(Comparator.comparingLong(FunctionRange::start))
            .collect(ImmutableList.toImmutableList());
    return sections.isEmpty()
        ? image.segments().stream()
            .filter(segment -> segment.isExecutable() && segment.fileSize() > 0)
            .map(s -> new FunctionRange(s.address(), s.address() + s.fileSize()))
            .sorted(Comparator.comparingLong(FunctionRange::start))
            .collect(ImmutableList.toImmutableList())
        : sections;
  }

  /** Where the first section of that name is loaded; empty where there is none. */
  public static Optional<FunctionRange> section(ElfImage image, String name) {
    return image
        .section(name)
        .filter(section -> section.address() != 0 && section.size() > 0)
        .map(s -> new FunctionRange(s.address(), s.address() + s.size()));
  }

  /**
   * Where code stands, sorted by start: the executable sections, or in an object without section
   * headers the executable segments as far as the file goes.
   */
  public ImmutableList<FunctionRange> executable() {
    return executable;
  }

  /** Whether the link-time {@code address} is in one of {@link #executable}. */
  public boolean isExecutable(long address) {
    return indexOf(address) >= 0;
  }

  /** Index in {@link #executable} of the range that holds {@code address}; -1 where none does. */
  private int indexOf(long address) {
    int low = 0;
    int high = executable.size() - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      FunctionRange range = executable.get(middle);
      if (range.contains(address)) {
        return middle;
      }
      if (address < range.start()) {
        high = middle - 1;
      } else {
        low = middle + 1;
      }
    }
    return -1;
  }

  /**
   * The bytes of a range of code.
   *
   * @throws BadObjectException if the file does not hold them all
   */
  public CodeBytes code(FunctionRange range) {
    return bytes(range.start(), range.end() - range.start())
        .orElseThrow(() -> image.bad("the file lacks bytes of " + range));
  }

  /**
   * {@code length} bytes from the link-time {@code address}; empty where the file does not hold
   * them all in one segment.
   *
   * @param length at least 1
   */
  public Optional<CodeBytes> bytes(long address, long length) {
    return from(address, false)
        .filter(held -> length > 0 && length <= held.size())
        .map(held -> held.code(0, (int) length));
  }

  /** The bytes at {@code address} that may be one instruction; empty where there is no code. */
  public Optional<CodeBytes> instruction(long address) {
    int index = indexOf(address);
    return index < 0
        ? Optional.empty()
        : bytes(address, Math.min(LONGEST_INSTRUCTION, executable.get(index).end() - address));
  }

  /**
   * At most {@code longest} bytes from the link-time {@code address} that the program can't write
   * to, as many as the file holds there; empty where there are none. What the linker makes
   * read-only after relocation (RELRO) does not count: the file does not hold what it will be.
   *
   * @param longest at least 1
   */
  public Optional<CodeBytes> readOnly(long address, int longest) {
    return from(address, true)
        .filter(held -> held.size() > 0)
        .map(held -> held.code(0, Math.min(longest, held.size())));
  }

  /**
   * The first place of 4 bytes, at any alignment, that hold an address in {@code [from, to)}: a
   * pointer or an immediate operand. Of use in an object linked for a fixed address, which has no
   * relocations to tell pointers by.
   *
   * @return link-time address
   */
  public OptionalLong placeOfAddressIn(long from, long to) {
    for (Segment segment : image.segments()) {
      if (segment.isLoaded() && segment.fileSize() > 0) {
        ElfBytes bytes =
            image.bytes().part(segment.offset(), segment.fileSize(), "segment " + segment);
        for (int at = 0; at + 4 <= bytes.size(); at++) {
          // The low half of a 64-bit pointer counts too.
          if ((bytes.u32(at) - from & 0xffff_ffffL) < to - from) {
            return OptionalLong.of(segment.address() + at);
          }
        }
      }
    }
    return OptionalLong.empty();
  }

  /** What the file holds from the link-time {@code address} to the end of its segment. */
  Optional<ElfBytes> from(long address, boolean readOnly) {
    for (Segment segment : image.segments()) {
      if (segment.isLoaded() && segment.contains(address)) {
        long skipped = address - segment.address();
        return skipped >= segment.fileSize() || (readOnly && segment.isWritable())
            ? Optional.empty()
            : Optional.of(
                image
                    .bytes()
                    .part(segment.offset() + skipped, segment.fileSize() - skipped, "segment"));
      }
    }
    return Optional.empty();
  }
}
