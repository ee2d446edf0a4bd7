package io.github.textpoke.elf;

/**
 * A section header (ELF specification, "Section Header").
 *
 * @param nameOffset of the name in the table of section names
 * @param type {@code SHT_SYMTAB} is 2, {@code SHT_NOBITS} 8, {@code SHT_DYNSYM} 11
 * @param flags {@code SHF_ALLOC} is 2, {@code SHF_EXECINSTR} 4
 * @param address link-time, 0 where it is not loaded
 * @param offset in the file, bytes
 * @param size bytes
 * @param link index of the section that this one refers to
 */
record Section(
    long nameOffset, long type, long flags, long address, long offset, long size, int link) {
  static final long SYMTAB = 2;
  static final long STRTAB = 3;
  static final long NOBITS = 8;
  static final long DYNSYM = 11;
  static final long GNU_VERDEF = 0x6fff_fffdL;
  static final long GNU_VERNEED = 0x6fff_fffeL;
  static final long GNU_VERSYM = 0x6fff_ffffL;

  /** Whether it holds code that is loaded. */
  boolean isCode() {
    return (flags & 6) == 6 && type != NOBITS;
  }
}
