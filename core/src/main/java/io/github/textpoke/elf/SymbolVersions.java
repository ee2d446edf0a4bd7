package io.github.textpoke.elf;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Versions of dynamic symbols: {@code .gnu.version} and {@code .gnu.version_d} (LSB Core, "Symbol
 * Versioning").
 */
final class SymbolVersions {
  private static final int HIDDEN = 0x8000;
  private static final int INDEX = 0x7fff;

  private final Optional<ElfBytes> indexes;
  private final Map<Integer, Long> nameOffsets;
  private final Optional<ElfBytes> names;

  private SymbolVersions(
      Optional<ElfBytes> indexes, Map<Integer, Long> nameOffsets, Optional<ElfBytes> names) {
    this.indexes = indexes;
    this.nameOffsets = nameOffsets;
    this.names = names;
  }

  static SymbolVersions of(ElfImage image) {
    Optional<Section> definitions = image.section(Section.GNU_VERDEF);
    return new SymbolVersions(
        image.section(Section.GNU_VERSYM).flatMap(image::contents),
        definitions.flatMap(image::contents).map(SymbolVersions::read).orElse(Map.of()),
        definitions.flatMap(section -> image.contents(image.linked(section.link()))));
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

  /** Whether new programs are linked to the dynamic symbol with that index. */
  boolean isDefault(int symbol) {
    return (index(symbol) & HIDDEN) == 0;
  }

  private int index(int symbol) {
    return indexes.map(table -> table.u16(2L * symbol)).orElse(0);
  }
}
