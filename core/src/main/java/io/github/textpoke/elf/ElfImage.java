package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.internal.Uninterruptibly;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A 64-bit little-endian x86-64 ELF object (executable, shared object or separate debug file), read
 * on demand out of its bytes. All addresses are link-time: add the load bias for absolute ones. The
 * bytes may be hostile: whatever they say, reading ends with an answer or a {@link
 * BadObjectException}, and never allocates more than the bytes are long.
 *
 * <p>Immutable and thread-safe as long as nobody changes the bytes. A file is mapped, not copied:
 * one that is truncated while we read it is a JVM {@link InternalError}; package managers replace
 * files and do not truncate them.
 *
 * <p>Source: System V ABI, "Object Files"; AMD64 supplement.
 */
public final class ElfImage {
  private static final int EXECUTABLE = 2;
  private static final int SHARED = 3;
  private static final long DT_STRTAB = 5;
  private static final long DT_SONAME = 14;

  /**
   * Where {@code .gnu_debuglink} says that the debug file is.
   *
   * @param file base name
   * @param crc CRC-32 of that file
   */
  public record DebugLink(String file, long crc) {}

  private final String name;
  private final ElfBytes bytes;
  private final int type;
  private final long entry;
  private final ImmutableList<Segment> segments;
  private final ImmutableList<Section> sections;
  private final Optional<ElfBytes> sectionNames;

  private ElfImage(String name, ElfBytes bytes, boolean withSections) {
    this.name = name;
    this.bytes = bytes;
    ElfHeaders.checkIdentity(bytes);
    this.type = bytes.u16(16);
    if (type != EXECUTABLE && type != SHARED) {
      throw bytes.bad("neither an executable nor a shared object: ELF type " + type);
    }
    this.entry = bytes.u64(24);
    this.segments = ElfHeaders.segments(bytes);
    this.sections = withSections ? ElfHeaders.sections(bytes) : ImmutableList.of();
    int names = bytes.u16(62);
    this.sectionNames =
        sections.isEmpty() || names == 0 ? Optional.empty() : contents(linked(names));
  }

  /**
   * Reads the headers of a whole object.
   *
   * @param name for messages
   * @param bytes the object from position to limit; not copied, so they must not change
   * @throws BadObjectException if it is no object of the kind above
   */
  public static ElfImage parse(String name, ByteBuffer bytes) {
    return new ElfImage(name, new ElfBytes(name, bytes), true);
  }

  /**
   * Reads the headers of an object out of its first bytes alone, as they stand at the start of a
   * mapped image. It has segments and no sections, so no symbols.
   *
   * @throws BadObjectException if the ELF header and the program headers are not there
   */
  public static ElfImage parseHeaders(String name, ByteBuffer firstBytes) {
    return new ElfImage(name, new ElfBytes(name, firstBytes), false);
  }

  /**
   * Maps a file and reads its headers.
   *
   * @throws BadObjectException if it can't be read, or is no object of the kind above
   */
  public static ElfImage read(Path file) {
    try {
      return Uninterruptibly.call(
          () -> {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
              return map(file.toString(), channel);
            }
          });
    } catch (IOException e) {
      throw new BadObjectException(file.toString(), "can't be read: " + e);
    }
  }

  /**
   * Maps an open file and reads its headers; the channel may be closed afterwards.
   *
   * @throws BadObjectException if it is no object of the kind above
   */
  public static ElfImage map(String name, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size > Integer.MAX_VALUE) {
      throw new BadObjectException(name, "larger than 2 GiB: " + size + " bytes");
    }
    return parse(name, channel.map(FileChannel.MapMode.READ_ONLY, 0, size));
  }

  /** The name that it was read under. */
  public String name() {
    return name;
  }

  /** Whether it is linked for one address, so that its load bias is 0 ({@code ET_EXEC}). */
  public boolean isFixed() {
    return type == EXECUTABLE;
  }

  /** Link-time address of the first instruction; 0 where there is none. */
  public long entry() {
    return entry;
  }

  /** All program headers, in their order. */
  public ImmutableList<Segment> segments() {
    return segments;
  }

  /** Whether the link-time {@code address} is mapped executable. */
  public boolean isExecutable(long address) {
    return isExecutable(address, 1);
  }

  /**
   * Whether all bytes from the link-time {@code address} on lie in one executable segment.
   *
   * @param length bytes, at least 1
   */
  public boolean isExecutable(long address, long length) {
    for (Segment segment : segments) {
      if (segment.isExecutable() && segment.contains(address)) {
        return length > 0 && length <= segment.end() - address;
      }
    }
    return false;
  }

  /** Whether it has a full symbol table, one that names local functions too. */
  public boolean hasSymbolTable() {
    return section(Section.SYMTAB).flatMap(this::contents).isPresent();
  }

  /**
   * The build-id as lower-case hexadecimal digits: the linker's name for exactly this object.
   *
   * @throws BadObjectException if the notes are malformed
   */
  public Optional<String> buildId() {
    // The section first: the program headers of a debug file hold offsets of another file.
    return section(".note.gnu.build-id")
        .flatMap(this::contents)
        .flatMap(Notes::buildId)
        .or(this::buildIdInSegments);
  }

  private Optional<String> buildIdInSegments() {
    for (Segment segment : segments) {
      if (segment.isNotes() && bytes.holds(segment.offset(), segment.fileSize())) {
        Optional<String> id =
            Notes.buildId(bytes.part(segment.offset(), segment.fileSize(), "notes"));
        if (id.isPresent()) {
          return id;
        }
      }
    }
    return Optional.empty();
  }

  /**
   * The build-id among the notes in {@code notes}: the bytes of a {@code PT_NOTE} segment as they
   * stand in memory.
   *
   * @param name for messages
   * @throws BadObjectException if the notes are malformed
   */
  public static Optional<String> buildIdOfNotes(String name, ByteBuffer notes) {
    return Notes.buildId(new ElfBytes(name, notes));
  }

  /** The name that the linker knows a shared object by ({@code DT_SONAME}). */
  public Optional<String> soname() {
    return dynamic(DT_SONAME)
        .flatMap(
            offset ->
                dynamic(DT_STRTAB).flatMap(this::fileOffset).map(at -> bytes.string(at + offset)));
  }

  /** Where {@code .gnu_debuglink} says that the debug file is. */
  public Optional<DebugLink> debugLink() {
    return section(".gnu_debuglink")
        .flatMap(this::contents)
        .map(
            link -> {
              String file = link.string(0);
              long length = file.getBytes(StandardCharsets.UTF_8).length;
              return new DebugLink(file, link.u32((length + 4) & ~3L));
            });
  }

  /** The value of the first entry of that tag in the dynamic segment, which the loader reads. */
  Optional<Long> dynamic(long tag) {
    return dynamicAll(tag).stream().findFirst();
  }

  /** The values of all entries of that tag in the dynamic segment. */
  ImmutableList<Long> dynamicAll(long tag) {
    ImmutableList.Builder<Long> values = ImmutableList.builder();
    for (Segment segment : segments) {
      if (segment.isDynamic() && bytes.holds(segment.offset(), segment.fileSize())) {
        ElfBytes table = bytes.part(segment.offset(), segment.fileSize(), "dynamic segment");
        for (long at = 0; at + 16 <= table.size() && table.u64(at) != 0; at += 16) {
          if (table.u64(at) == tag) {
            values.add(table.u64(at + 8));
          }
        }
      }
    }
    return values.build();
  }

  /**
   * The bytes that the file holds of a segment.
   *
   * @throws BadObjectException if the file ends before
   */
  public CodeBytes contents(Segment segment) {
    return CodeBytes.of(
        bytes.part(segment.offset(), segment.fileSize(), "segment " + segment).copy());
  }

  /**
   * The bytes of the first section of that name, loaded or not; empty where there is none.
   *
   * @throws BadObjectException if the file ends before
   */
  public Optional<CodeBytes> sectionBytes(String name) {
    return section(name).flatMap(this::contents).map(held -> CodeBytes.of(held.copy()));
  }

  private Optional<Long> fileOffset(long address) {
    for (Segment segment : segments) {
      if (segment.isLoaded()
          && segment.contains(address)
          && address - segment.address() < segment.fileSize()) {
        return Optional.of(address - segment.address() + segment.offset());
      }
    }
    return Optional.empty();
  }

  /** The first section of that name. */
  Optional<Section> section(String wanted) {
    if (sectionNames.isEmpty()) {
      return Optional.empty();
    }
    byte[] name = (wanted + '\0').getBytes(StandardCharsets.US_ASCII);
    for (Section section : sections) {
      if (sectionNames.get().startsWith(section.nameOffset(), name)) {
        return Optional.of(section);
      }
    }
    return Optional.empty();
  }

  /** The first section of that type. */
  Optional<Section> section(long type) {
    for (Section section : sections) {
      if (section.type() == type) {
        return Optional.of(section);
      }
    }
    return Optional.empty();
  }

  /** The section with that index, which another one refers to. */
  Section linked(int index) {
    if (index < 0 || index >= sections.size()) {
      throw bytes.bad("section " + index + " is missing: there are " + sections.size());
    }
    return sections.get(index);
  }

  /** The bytes of a section; empty where the file does not hold them. */
  Optional<ElfBytes> contents(Section section) {
    return section.type() == Section.NOBITS
        ? Optional.empty()
        : Optional.of(bytes.part(section.offset(), section.size(), "section"));
  }

  ImmutableList<Section> sections() {
    return sections;
  }

  /** The whole object. */
  ElfBytes bytes() {
    return bytes;
  }

  BadObjectException bad(String reason) {
    return bytes.bad(reason);
  }
}
