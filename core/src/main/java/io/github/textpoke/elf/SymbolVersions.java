package io.github.textpoke.elf;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Versions of dynamic symbols: {@code .gnu.version}, {@code .gnu.version_d} and {@code
 * .gnu.version_r} (LSB Core, "Symbol Versioning").
 */
final class SymbolVersions {
  private static final int HIDDEN = 0x8000;
  private static final int INDEX = 0x7fff;
  private static final int NEED_SIZE = 16;

  private final Optional<ElfBytes> indexes;
  private final Map<Integer, Long> nameOffsets;
  private final Optional<ElfBytes> names;
  private final Map<Integer, Long> neededOffsets;
  private final Optional<ElfBytes> neededNames;

  private SymbolVersions(
      Optional<ElfBytes> indexes,
      Map<Integer, Long> nameOffsets,
      Optional<ElfBytes> names,
      Map<Integer, Long> neededOffsets,
      Optional<ElfBytes> neededNames) {
    this.indexes = indexes;
    this.nameOffsets = nameOffsets;
    this.names = names;
    this.neededOffsets = neededOffsets;
    this.neededNames = neededNames;
  }

  static SymbolVersions of(ElfImage image) {
    Optional<Section> definitions = image.section(Section.GNU_VERDEF);
    Optional<Section> needs = image.section(Section.GNU_VERNEED);
    return new SymbolVersions(
        image.section(Section.GNU_VERSYM).flatMap(image::contents),
        definitions.flatMap(image::contents).map(SymbolVersions::read).orElse(Map.of()),
        definitions.flatMap(section -> image.contents(image.linked(section.link()))),
        needs.flatMap(image::contents).map(SymbolVersions::readNeeds).orElse(Map.of()),
        needs.flatMap(section -> image.contents(image.linked(section.link()))));
  }

  private static Map<Integer, Long> readNeeds(ElfBytes needs) {
    Map<Integer, Long> names = new HashMap<>();
    int left = needs.size() / NEED_SIZE;
    long at = 0;
    long next;
    do {
      long version = at + needs.u32(at + 8);
      long nextVersion;
      do {
        // Lists that run into each other would be read again and again.
        if (--left < 0) {
          throw needs.bad("more needed versions than there is room for");
        }
        names.put(needs.u16(version + 6) & INDEX, needs.u32(version + 8));
        nextVersion = needs.u32(version + 12);
        version += nextVersion;
      } while (nextVersion != 0);
      next = needs.u32(at + 12);
      at += next;
    } while (next != 0);
    return Map.copyOf(names);
  }

  private static Map<Integer, Long> read(ElfBytes definitions) {
    Map<Integer, Long> names = new HashMap<>();
    long at = 0;
    long next;
    do {
      long firstName = at + definitions.u32(at + 12);
      names.put(definitions.u16(at + 4) & INDEX, definitions.u32(firstName));
      next = definitions.u32(at + 16);
      at += next;
    } while (next != 0);
    return Map.copyOf(names);
  }

  /** The version of the dynamic symbol with that index; empty where it has none. */
  String version(int symbol) {
    Long offset = nameOffsets.get(index(symbol) & INDEX);
    // 0 is a local symbol, 1 one without version.
    return (index(symbol) & INDEX) < 2 || offset == null || names.isEmpty()
        ? ""
        : names.get().string(offset);
  }

  /**
   * The version that the dynamic symbol with that index asks for in another object, or was copied
   * with from one; empty where it asks for none.
   */
  String neededVersion(int symbol) {
    Long offset = neededOffsets.get(index(symbol) & INDEX);
    return offset == null || neededNames.isEmpty() ? "" : neededNames.get().string(offset);
  }

  /** Whether new programs are linked to the dynamic symbol with that index. */
  boolean isDefault(int symbol) {
    return (index(symbol) & HIDDEN) == 0;
  }

  private int index(int symbol) {
    return indexes.map(table -> table.u16(2L * symbol)).orElse(0);
  }
}
