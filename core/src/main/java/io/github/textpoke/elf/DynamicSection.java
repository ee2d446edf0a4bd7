package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.Symbol.Table;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.LongConsumer;

/**
 * What an object tells the loader: its dynamic section, the symbols that it exports and imports,
 * and all its relocations. All addresses are link-time. Immutable and thread-safe. Any method may
 * throw {@link BadObjectException} when it meets something malformed.
 *
 * <p>Source: System V ABI, "Dynamic Section", "Relocation"; the gABI's {@code SHT_RELR}.
 */
public final class DynamicSection {
  private static final int RELA_SIZE = 24;

  private static final long DT_NEEDED = 1;
  private static final long DT_PLTRELSZ = 2;
  private static final long DT_STRTAB = 5;
  private static final long DT_SYMTAB = 6;
  private static final long DT_RELA = 7;
  private static final long DT_RELASZ = 8;
  private static final long DT_RELAENT = 9;
  private static final long DT_REL = 17;
  private static final long DT_PLTREL = 20;
  private static final long DT_JMPREL = 23;
  private static final long DT_RELRSZ = 35;
  private static final long DT_RELR = 36;

  private final ElfImage image;
  private final LoadedBytes loaded;
  private final Optional<SymbolTable> symbols;

  private DynamicSection(ElfImage image, LoadedBytes loaded, Optional<SymbolTable> symbols) {
    this.image = image;
    this.loaded = loaded;
    this.symbols = symbols;
  }

  /**
   * That of {@code image}; one without a dynamic segment is empty.
   *
   * @throws BadObjectException if its parts contradict each other
   */
  public static DynamicSection of(ElfImage image) {
    Optional<Section> table = image.section(Section.DYNSYM);
    Optional<Long> address = image.dynamic(DT_SYMTAB);
    if (table.isPresent() && address.isPresent() && table.get().address() != address.get()) {
      throw image.bad(
          "the loader's symbols at 0x%x are not those of the section at 0x%x"
              .formatted(address.get(), table.get().address()));
    }
    return new DynamicSection(image, LoadedBytes.of(image), SymbolTable.of(image, Table.DYNSYM));
  }

  /** The value of the first entry of that tag. */
  public OptionalLong value(long tag) {
    return image.dynamic(tag).map(OptionalLong::of).orElseGet(OptionalLong::empty);
  }

  /** The names of the objects that it is to be loaded with ({@code DT_NEEDED}), in their order. */
  public ImmutableList<String> needed() {
    ImmutableList<Long> offsets = image.dynamicAll(DT_NEEDED);
    if (offsets.isEmpty()) {
      return ImmutableList.of();
    }
    ElfBytes names =
        image
            .dynamic(DT_STRTAB)
            .flatMap(address -> loaded.from(address, false))
            .orElseThrow(() -> image.bad("needed objects without names"));
    return offsets.stream().map(names::string).collect(ImmutableList.toImmutableList());
  }

  /** The number of dynamic symbols, the empty first one among them; 0 where there is no table. */
  public int symbolCount() {
    return symbols.map(SymbolTable::count).orElse(0);
  }

  /** The dynamic symbol with that index. */
  public DynamicSymbol symbol(int index) {
    if (index < 0 || index >= symbolCount()) {
      throw image.bad("dynamic symbol " + index + " is missing: there are " + symbolCount());
    }
    return symbols.orElseThrow().dynamicSymbol(index);
  }

  /** The dynamic symbols whose name without version is {@code name}, in the order of the table. */
  public ImmutableList<DynamicSymbol> named(String name) {
    ImmutableList.Builder<DynamicSymbol> found = ImmutableList.builder();
    byte[] wanted = name.getBytes(StandardCharsets.UTF_8);
    for (int i = 1; i < symbolCount(); i++) {
      if (symbols.orElseThrow().isNamed(i, wanted)) {
        found.add(symbol(i));
      }
    }
    return found.build();
  }

  /** The entries of {@code DT_RELA}, and behind them those of {@code DT_JMPREL}. */
  public ImmutableList<Relocation> relocations() {
    if (image.dynamic(DT_REL).isPresent()
        || image.dynamic(DT_PLTREL).orElse(DT_RELA) != DT_RELA
        || image.dynamic(DT_RELAENT).orElse((long) RELA_SIZE) != RELA_SIZE) {
      throw image.bad("relocations in a form that x86-64 does not have");
    }
    ImmutableList.Builder<Relocation> all = ImmutableList.builder();
    readRela(DT_RELA, DT_RELASZ, all);
    readRela(DT_JMPREL, DT_PLTRELSZ, all);
    return all.build();
  }

  private void readRela(long addressTag, long sizeTag, ImmutableList.Builder<Relocation> all) {
    if (image.dynamic(addressTag).isEmpty()) {
      return;
    }
    ElfBytes table = table(addressTag, sizeTag);
    if (table.size() % RELA_SIZE != 0) {
      throw image.bad("a relocation table of " + table.size() + " bytes");
    }
    for (long at = 0; at < table.size(); at += RELA_SIZE) {
      long info = table.u64(at + 8);
      all.add(new Relocation(table.u64(at), (int) info, (int) (info >>> 32), table.u64(at + 16)));
    }
  }

  /**
   * Calls {@code action} with the place of each pointer that the loader adds the load bias to where
   * it stands ({@code DT_RELR}).
   */
  public void forEachRelative(LongConsumer action) {
    if (image.dynamic(DT_RELR).isPresent()) {
      forEachRelative(table(DT_RELR, DT_RELRSZ), action);
    }
  }

  /**
   * Decodes a table of {@code SHT_RELR}: an even word is a place; an odd one tells by its upper 63
   * bits which of the next 63 words are places too.
   */
  static void forEachRelative(ElfBytes table, LongConsumer action) {
    long next = 0;
    for (long at = 0; at + 8 <= table.size(); at += 8) {
      long word = table.u64(at);
      if ((word & 1) == 0) {
        action.accept(word);
        next = word + 8;
      } else {
        for (int bit = 1; bit < 64; bit++) {
          if ((word >>> bit & 1) != 0) {
            action.accept(next + 8L * (bit - 1));
          }
        }
        next += 8 * 63;
      }
    }
  }

  private ElfBytes table(long addressTag, long sizeTag) {
    long address = image.dynamic(addressTag).orElseThrow();
    long size =
        image
            .dynamic(sizeTag)
            .orElseThrow(() -> image.bad("relocations without size: tag " + sizeTag));
    return loaded
        .from(address, false)
        .orElseThrow(() -> image.bad("no relocations at 0x%x".formatted(address)))
        .part(0, size, "relocations");
  }
}
