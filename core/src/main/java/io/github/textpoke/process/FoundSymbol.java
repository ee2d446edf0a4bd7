package io.github.textpoke.process;

import io.github.textpoke.elf.Symbol;

/**
 * A symbol of a loaded object.
 *
 * @param object base name of the object's file
 * @param symbol with its link-time address
 * @param address absolute
 */
public record FoundSymbol(String object, Symbol symbol, long address) {}
