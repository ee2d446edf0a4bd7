package io.github.textpoke.plan;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;

/**
 * One atomic-looking change of the bytes of one site: one old instruction becomes one new one. A
 * thread may stand at the site's first byte only; bytes behind the end of the shorter instruction
 * are padding that no thread reaches.
 *
 * @param site the address and the whole old bytes
 * @param oldLength length in bytes of the old instruction, at most that of the site; what is behind
 *     it is unreachable padding
 * @param replacement the whole new bytes, as many as old ones
 * @param newLength length in bytes of the new instruction; what is behind it is unreachable padding
 * @param trapAction what becomes of a thread that runs the breakpoint
 */
public record Poke(
    Site site, int oldLength, CodeBytes replacement, int newLength, TrapAction trapAction) {

  /** Checks the lengths. */
  public Poke {
    checkArgument(
        replacement.length() == site.length(),
        "site %s has %s bytes, its replacement %s",
        site,
        site.length(),
        replacement.length());
    checkArgument(oldLength > 0 && oldLength <= site.length(), "old length %s", oldLength);
    checkArgument(newLength > 0 && newLength <= site.length(), "new length %s", newLength);
  }

  /** The address of the first byte. */
  public long address() {
    return site.address();
  }

  /** The number of bytes of the site. */
  public int length() {
    return site.length();
  }

  /** The change back. */
  public Poke inverse() {
    return new Poke(
        new Site(site.address(), replacement), newLength, site.bytes(), oldLength, trapAction);
  }
}
