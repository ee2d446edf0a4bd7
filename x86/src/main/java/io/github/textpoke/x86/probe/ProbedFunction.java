package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;

/**
 * A function, or an instruction inside of one, that is probed.
 *
 * @param name with its object's, as {@code libc.so.6:strtol}: of several names that one without
 *     underscores before it, where there is one
 * @param address absolute, of its first byte, or the instruction's
 * @param otherNames of the same function, with the object's, as far as they were asked for
 * @param stand how the probe stands there
 */
public record ProbedFunction(
    String name, long address, ImmutableList<String> otherNames, ProbeStand stand) {
  /**
   * Whether it has that name.
   *
   * @param asked with the object's name or without
   */
  public boolean isCalled(String asked) {
    return isOne(name, asked) || otherNames.stream().anyMatch(other -> isOne(other, asked));
  }

  private static boolean isOne(String whole, String asked) {
    return whole.equals(asked) || whole.substring(whole.lastIndexOf(':') + 1).equals(asked);
  }
}
