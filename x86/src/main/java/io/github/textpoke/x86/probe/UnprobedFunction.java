package io.github.textpoke.x86.probe;

/**
 * A function that was asked for and can't be probed so.
 *
 * @param name with its object's
 * @param address absolute
 * @param reason why not, with the planner's rule where it is one's
 */
public record UnprobedFunction(String name, long address, String reason) {}
