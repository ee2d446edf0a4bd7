package io.github.textpoke.x86.plan;

import io.github.textpoke.Site;

/**
 * How a site lies in memory. Processors promise something for a single store only inside an aligned
 * quadword (APM vol. 2, 7.6.1), and are measured to fail across lines; so every class is poked in
 * the same way, by int3 and core syncs (rule 17). The class is for people and for tests.
 */
public enum SiteClass {
  /** Inside one aligned quadword of 8 bytes. */
  IN_QUADWORD,
  /** Inside one cache line of 64 bytes. */
  IN_LINE,
  /** Across a line, inside one page. */
  STRADDLES_LINE,
  /** Across a page of 4096 bytes: written page by page. */
  STRADDLES_PAGE;

  /** The class of {@code site}. */
  public static SiteClass of(Site site) {
    return of(site.address(), site.length());
  }

  /**
   * The class of {@code length} bytes at {@code address}.
   *
   * @param address absolute
   * @param length at least 1
   */
  public static SiteClass of(long address, int length) {
    long differing = address ^ (address + length - 1);
    if (differing >>> 3 == 0) {
      return IN_QUADWORD;
    }
    if (differing >>> 6 == 0) {
      return IN_LINE;
    }
    return differing >>> 12 == 0 ? STRADDLES_LINE : STRADDLES_PAGE;
  }
}
