package io.github.textpoke.process;

import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbols;

/**
 * An object as a process has loaded it; its file was proved to be the one that is mapped.
 *
 * @param image the file
 * @param symbols of the object, with those of its debug file where there is one; link-time
 *     addresses
 * @param bias what to add to a link-time address for an absolute one
 * @param start absolute address of its first loaded byte
 * @param end absolute address behind its last
 */
public record ImageInMemory(ElfImage image, Symbols symbols, long bias, long start, long end) {}
