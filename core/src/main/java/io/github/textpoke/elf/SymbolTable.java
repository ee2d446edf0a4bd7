package io.github.textpoke.elf;

import io.github.textpoke.elf.Symbol.Binding;
import io.github.textpoke.elf.Symbol.Kind;
import io.github.textpoke.elf.Symbol.Table;
import java.util.Optional;

/**
 * One symbol table, as the words that the file holds: copied at once, so that a search over tens of
 * thousands of symbols makes no object but for those that match.
 *
 * <pre>
 *   word 3i     bit 0..31 offset of the name, 32..35 type, 36..39 binding, 48..63 section
 *   word 3i+1   address
 *   word 3i+2   size
 * </pre>
 */
final class SymbolTable {
  private static final int ENTRY_SIZE = 24;
  private static final int FIRST_RESERVED_SECTION = 0xff00;
  private static final int ABSOLUTE_SECTION = 0xfff1;
  private static final int EXTENDED_SECTION = 0xffff;

  // Made once: kindOf and bindingOf run for every symbol of a table.
  private static final Optional<Kind> UNTYPED = Optional.of(Kind.UNTYPED);
  private static final Optional<Kind> OBJECT = Optional.of(Kind.OBJECT);
  private static final Optional<Kind> FUNCTION = Optional.of(Kind.FUNCTION);
  private static final Optional<Kind> IFUNC = Optional.of(Kind.IFUNC);
  private static final Optional<Binding> LOCAL = Optional.of(Binding.LOCAL);
  private static final Optional<Binding> GLOBAL = Optional.of(Binding.GLOBAL);
  private static final Optional<Binding> WEAK = Optional.of(Binding.WEAK);

  private final Table kind;
  private final long[] words;
  private final ElfBytes names;
  private final Optional<SymbolVersions> versions;

  private SymbolTable(Table kind, long[] words, ElfBytes names, Optional<SymbolVersions> versions) {
    this.kind = kind;
    this.words = words;
    this.names = names;
    this.versions = versions;
  }

  /** The table of that kind; empty where the image has none. */
  static Optional<SymbolTable> of(ElfImage image, Table kind) {
    Optional<Section> section =
        image.section(kind == Table.SYMTAB ? Section.SYMTAB : Section.DYNSYM);
    Optional<ElfBytes> entries = section.flatMap(image::contents);
    if (entries.isEmpty()) {
      return Optional.empty();
    }
    if (entries.get().size() % ENTRY_SIZE != 0) {
      throw image.bad("a symbol table of " + entries.get().size() + " bytes");
    }
    ElfBytes names =
        image
            .contents(image.linked(section.get().link()))
            .orElseThrow(() -> image.bad("the names of the symbols are missing"));
    return Optional.of(
        new SymbolTable(
            kind,
            entries.get().words(),
            names,
            kind == Table.DYNSYM ? Optional.of(SymbolVersions.of(image)) : Optional.empty()));
  }

  int count() {
    return words.length / 3;
  }

  /**
   * Whether the symbol is defined here, at an address: no reference, no section, file or
   * thread-local variable, no absolute value.
   */
  boolean isDefined(int index) {
    int section = (int) (words[3 * index] >>> 48);
    return section != 0
        && (section < FIRST_RESERVED_SECTION || section == EXTENDED_SECTION)
        && kindOf(index).isPresent()
        && bindingOf(index).isPresent();
  }

  /** Whether it may be code: a function, or without type. */
  boolean mayBeCode(int index) {
    return kindOf(index).filter(k -> k != Kind.OBJECT).isPresent();
  }

  /** Whether it is a function for certain. */
  boolean isFunction(int index) {
    return kindOf(index).filter(k -> k == Kind.FUNCTION || k == Kind.IFUNC).isPresent();
  }

  long address(int index) {
    return words[3 * index + 1];
  }

  long size(int index) {
    return words[3 * index + 2];
  }

  /** Whether its name without version is {@code name}. */
  boolean isNamed(int index, byte[] name) {
    long offset = nameOffset(index);
    if (!names.startsWith(offset, name)) {
      return false;
    }
    int behind = names.u8(offset + name.length);
    return behind == 0 || (behind == '@' && kind == Table.SYMTAB);
  }

  Symbol symbol(int index) {
    String name = names.string(nameOffset(index));
    String version = versions.map(v -> v.version(index)).orElse("");
    boolean isDefault = !version.isEmpty() && versions.get().isDefault(index);
    int at = kind == Table.SYMTAB ? name.indexOf('@') : -1;
    if (at > 0) {
      // The static linker writes the version of a symbol into its name.
      isDefault = name.startsWith("@@", at);
      version = name.substring(at + (isDefault ? 2 : 1));
      name = name.substring(0, at);
    }
    return new Symbol(
        name,
        version,
        isDefault,
        address(index),
        size(index),
        kindOf(index).orElseThrow(),
        bindingOf(index).orElseThrow(),
        kind);
  }

  /** The symbol with that index of {@code .dynsym}, whatever it is. */
  DynamicSymbol dynamicSymbol(int index) {
    int section = (int) (words[3 * index] >>> 48);
    String version = versions.map(v -> v.version(index)).orElse("");
    return new DynamicSymbol(
        names.string(nameOffset(index)),
        version.isEmpty() ? versions.map(v -> v.neededVersion(index)).orElse("") : version,
        versions.filter(v -> !v.isDefault(index)).isPresent(),
        switch (section) {
          case 0 -> DynamicSymbol.Place.UNDEFINED;
          case ABSOLUTE_SECTION -> DynamicSymbol.Place.ABSOLUTE;
          default -> DynamicSymbol.Place.HERE;
        },
        address(index),
        size(index),
        switch ((int) (words[3 * index] >>> 32) & 15) {
          case 0 -> DynamicSymbol.Kind.UNTYPED;
          // STT_COMMON is data.
          case 1, 5 -> DynamicSymbol.Kind.OBJECT;
          case 2 -> DynamicSymbol.Kind.FUNCTION;
          case 6 -> DynamicSymbol.Kind.THREAD_LOCAL;
          case 10 -> DynamicSymbol.Kind.IFUNC;
          default -> DynamicSymbol.Kind.OTHER;
        },
        switch ((int) (words[3 * index] >>> 36) & 15) {
          case 0 -> DynamicSymbol.Binding.LOCAL;
          case 1 -> DynamicSymbol.Binding.GLOBAL;
          case 2 -> DynamicSymbol.Binding.WEAK;
          case 10 -> DynamicSymbol.Binding.UNIQUE;
          default -> DynamicSymbol.Binding.OTHER;
        },
        // STV_DEFAULT is 0, STV_PROTECTED 3.
        switch ((int) (words[3 * index] >>> 40) & 3) {
          case 0, 3 -> true;
          default -> false;
        });
  }

  private long nameOffset(int index) {
    return words[3 * index] & 0xffff_ffffL;
  }

  private Optional<Kind> kindOf(int index) {
    return switch ((int) (words[3 * index] >>> 32) & 15) {
      case 0 -> UNTYPED;
      case 1 -> OBJECT;
      case 2 -> FUNCTION;
      case 10 -> IFUNC;
      // Sections, files, thread-local variables: not an address.
      default -> Optional.empty();
    };
  }

  private Optional<Binding> bindingOf(int index) {
    return switch ((int) (words[3 * index] >>> 36) & 15) {
      case 0 -> LOCAL;
      // STB_GNU_UNIQUE (10) is global, and one per process.
      case 1, 10 -> GLOBAL;
      case 2 -> WEAK;
      default -> Optional.empty();
    };
  }
}
