package io.github.textpoke.elf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.PatchException.BadObjectException;

/**
 * The pointers into an object's own code that the loader writes: function pointers, vtables, label
 * tables, its linkage table. Read from where the loader reads them, the dynamic segment; an object
 * linked for a fixed address hardly has any. Link-time addresses. Immutable and thread-safe.
 *
 * <p>Source: System V ABI, "Relocation"; AMD64 supplement, "Relocation Types"; the gABI's proposal
 * for {@code SHT_RELR}.
 */
public final class Relocations {
  private static final int DT_SYMTAB = 6;
  private static final int DT_RELA = 7;
  private static final int DT_RELASZ = 8;
  private static final int DT_PLTRELSZ = 2;
  private static final int DT_JMPREL = 23;
  private static final int DT_RELRSZ = 35;
  private static final int DT_RELR = 36;
  private static final int RELA_SIZE = 24;
  private static final int SYMBOL_SIZE = 24;

  /** R_X86_64_IRELATIVE. */
  private static final int IRELATIVE = 37;

  /** R_X86_64_DTPMOD64, DTPOFF64, TPOFF64, TPOFF32, TLSDESC: no addresses. */
  private static final ImmutableSet<Integer> THREAD_LOCAL = ImmutableSet.of(16, 17, 18, 23, 36);

  private final ElfImage image;
  private final LoadedBytes loaded;
  private final AddressLinks.Builder links;

  private Relocations(ElfImage image) {
    this.image = image;
    this.loaded = LoadedBytes.of(image);
    this.links = new AddressLinks.Builder(lowestAddress(image));
  }

  /**
   * From the place of each pointer to the code that it leads to. Whatever the type of a relocation
   * but those of thread-local variables, its symbol's address plus its addend counts.
   *
   * @throws BadObjectException if the dynamic segment or a table that it names is malformed, or the
   *     object spans more than 4 GiB
   */
  public static AddressLinks pointersToCode(ElfImage image) {
    Relocations relocations = new Relocations(image);
    relocations.readRela(DT_RELA, DT_RELASZ);
    relocations.readRela(DT_JMPREL, DT_PLTRELSZ);
    relocations.readRelr();
    return relocations.links.build();
  }

  /**
   * Where the object keeps what a resolver of an IFUNC has chosen: the link-time addresses of the
   * pointers that the loader has set to what it returned (R_X86_64_IRELATIVE).
   *
   * @param resolver link-time address
   * @throws BadObjectException as {@link #pointersToCode}
   */
  public static ImmutableList<Long> resolvedBy(ElfImage image, long resolver) {
    Relocations relocations = new Relocations(image);
    ImmutableList.Builder<Long> places = ImmutableList.builder();
    relocations.readResolved(DT_RELA, DT_RELASZ, resolver, places);
    relocations.readResolved(DT_JMPREL, DT_PLTRELSZ, resolver, places);
    return places.build();
  }

  private void readResolved(
      int addressTag, int sizeTag, long resolver, ImmutableList.Builder<Long> places) {
    if (image.dynamic(addressTag).isEmpty()) {
      return;
    }
    ElfBytes table = table(addressTag, sizeTag);
    for (long at = 0; at + RELA_SIZE <= table.size(); at += RELA_SIZE) {
      if ((int) table.u64(at + 8) == IRELATIVE && table.u64(at + 16) == resolver) {
        places.add(table.u64(at));
      }
    }
  }

  /** The link-time address of the first byte that is loaded; 0 if nothing is. */
  public static long lowestAddress(ElfImage image) {
    return image.segments().stream()
        .filter(Segment::isLoaded)
        .mapToLong(Segment::address)
        .min()
        .orElse(0);
  }

  private void readRela(int addressTag, int sizeTag) {
    if (image.dynamic(addressTag).isEmpty()) {
      return;
    }
    ElfBytes table = table(addressTag, sizeTag);
    for (long at = 0; at + RELA_SIZE <= table.size(); at += RELA_SIZE) {
      long info = table.u64(at + 8);
      if (!THREAD_LOCAL.contains((int) info)) {
        add(table.u64(at), symbol(info >>> 32) + table.u64(at + 16));
      }
    }
  }

  /** The address of a dynamic symbol; 0 where it is defined elsewhere, or is none. */
  private long symbol(long index) {
    if (index == 0) {
      return 0;
    }
    ElfBytes symbols =
        image
            .dynamic(DT_SYMTAB)
            .flatMap(address -> loaded.from(address, false))
            .orElseThrow(() -> image.bad("relocations without dynamic symbols"));
    return symbols.u64(index * SYMBOL_SIZE + 8);
  }

  private void readRelr() {
    if (image.dynamic(DT_RELR).isEmpty()) {
      return;
    }
    DynamicSection.forEachRelative(table(DT_RELR, DT_RELRSZ), this::addInPlace);
  }

  /** A pointer whose addend stands where it will be written. */
  private void addInPlace(long place) {
    ElfBytes held =
        loaded
            .from(place, false)
            .orElseThrow(() -> image.bad("a relocation of no bytes at 0x%x".formatted(place)));
    add(place, held.u64(0));
  }

  private void add(long place, long target) {
    if (loaded.isExecutable(target)) {
      if (!links.holds(place) || !links.holds(target)) {
        throw image.bad("a relocation at 0x%x is more than 4 GiB away".formatted(place));
      }
      links.add(place, target);
    }
  }

  private ElfBytes table(int addressTag, int sizeTag) {
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
