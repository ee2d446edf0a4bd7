package io.github.textpoke.x86.link;

/**
 * A function that a linked object exports.
 *
 * @param name without version, mangled
 * @param address absolute
 * @param size bytes; 0 where the object does not say
 */
public record LinkedFunction(String name, long address, long size) {}
