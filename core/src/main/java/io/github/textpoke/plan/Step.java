package io.github.textpoke.plan;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;

/** One step of a plan. Steps are done in order; each is complete before the next begins. */
public sealed interface Step {
  /** Why the step is there: for the table that a person reads. */
  String why();

  /**
   * Compare, then write.
   *
   * @param address absolute
   * @param expected what must stand there before; as long as {@code bytes}
   * @param bytes what is written; does not cross a page
   */
  record Write(long address, CodeBytes expected, CodeBytes bytes, String why) implements Step {
    /** Checks that both are of one length, not empty. */
    public Write {
      new Site(address, bytes);
      if (expected.length() != bytes.length()) {
        throw new IllegalArgumentException("expected and new bytes differ in length");
      }
    }
  }

  /** Core sync: afterwards no core can run bytes fetched before it. */
  record SyncCores(String why) implements Step {}

  /**
   * Evacuate: afterwards no thread stands inside of a site.
   *
   * <ol>
   *   <li>Assumes that on the first byte and on each boundary of {@code mapping} every core sees a
   *       breakpoint and nothing else. So nobody comes in, and nobody gets from one boundary to the
   *       next: threads and boundaries may be looked at one after another, in any order, and who
   *       was seen outside stays outside. Without that it guarantees nothing.
   *   <li>Guarantees that no thread stands on a boundary of {@code mapping}, running or not. One
   *       that did goes on at the address in the copy. So does one that has run the breakpoint
   *       there and whose trap is not taken yet: its instruction pointer is one byte behind the
   *       boundary. That may be the next boundary, where the instruction has one byte, so the trap
   *       of such a thread is taken first, and tells where it stands.
   *   <li>A thread stands where it will go on: at an address that is saved in a signal frame or by
   *       a scheduler of the program's own, as well.
   *   <li>Leaves alone who stands on the first byte.
   * </ol>
   *
   * <p>A thread need not be waited for: the copy does the same as the old code, at once.
   *
   * @param address absolute address of the site's first byte
   * @param length of the site in bytes
   * @param mapping for each boundary inside of the site, absolute, the absolute address in the
   *     out-of-line copy; not empty
   */
  record Evacuate(long address, int length, ImmutableMap<Long, Long> mapping, String why)
      implements Step {
    /** Checks that all boundaries are inside. */
    public Evacuate {
      checkArgument(!mapping.isEmpty(), "nowhere to stand inside of 0x%s", hex(address));
      for (Long boundary : mapping.keySet()) {
        checkArgument(
            boundary != address && Long.compareUnsigned(boundary - address, length) < 0,
            "boundary 0x%s is not inside of the %s bytes at 0x%s",
            hex(boundary),
            length,
            hex(address));
      }
    }

    private static String hex(long address) {
      return Long.toHexString(address);
    }
  }
}
