package io.github.textpoke.elf;

/**
 * An entry of a relocation table with addend ({@code Elf64_Rela}).
 *
 * @param place link-time address of what is to be written
 * @param type as the supplement of the instruction set numbers them
 * @param symbol index of the dynamic symbol; 0: none
 * @param addend what is added
 */
public record Relocation(long place, int type, int symbol, long addend) {}
