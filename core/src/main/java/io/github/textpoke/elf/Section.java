package io.github.textpoke.elf;

/**
 * A section header (ELF specification, "Section Header").
 *
 * @param nameOffset of the name in the table of section names
 * @param type {@code SHT_SYMTAB} is 2, {@code SHT_NOBITS} 8, {@code SHT_DYNSYM} 11
 * @param address link-time, 0 where it is not loaded
 * @param offset in the file, bytes
 * @param size bytes
 * @param link index of the section that this one refers to
 */
record Section(long nameOffset, long type, long address, long offset, long size, int link) {
  static final long SYMTAB = 2;
  static final long STRTAB = 3;
  static final long NOBITS = 8;
  static final long DYNSYM = 11;
  static final long GNU_VERDEF = 0x6fff_fffdL;
  static final long GNU_VERSYM = 0x6fff_ffffL;
}
