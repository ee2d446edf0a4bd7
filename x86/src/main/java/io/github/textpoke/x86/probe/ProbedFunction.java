package io.github.textpoke.x86.probe;

/**
 * A function that is probed.
 *
 * @param name with its object's, as {@code libc.so.6:strtol}; of several names of one function the
 *     first
 * @param address absolute, of its first byte
 */
public record ProbedFunction(String name, long address) {}
