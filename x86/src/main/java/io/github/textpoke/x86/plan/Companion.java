package io.github.textpoke.x86.plan;

import io.github.textpoke.x86.relocate.OutOfLineCopy;

/**
 * The entry of a function that leads inside of what a jump displaces, and is displaced in the same
 * plan: {@code mempcpy}, which sets its result and goes on behind the first instruction of {@code
 * memmove}. In its copy it goes on in the copy of that, so nobody comes inside any more. A jump to
 * the copy stands at its own site.
 *
 * @param copy of the instructions from its entry up to the last one that leads inside, at least
 * @param unentered that nobody enters them behind the first byte
 */
public record Companion(OutOfLineCopy copy, Entrances.Unentered unentered) {
  /** Most of one plan. */
  public static final int MOST = 4;

  /** Most bytes that are displaced of one: what the poker can compare at once. */
  public static final int SITE_MOST = 15;

  /** Bytes that its copy may take. */
  static final int ROOM = DisplacingPlan.aligned(OutOfLineCopy.maxSize(SITE_MOST));
}
