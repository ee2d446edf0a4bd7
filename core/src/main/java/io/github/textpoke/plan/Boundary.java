package io.github.textpoke.plan;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Where an instruction begins inside of a site that holds several: a thread may stand there. The
 * site's first byte is none: its trap action is that of the {@link Poke}.
 *
 * @param offset in bytes from the site's first byte, at least 1
 * @param trapAction what becomes of a thread that runs a breakpoint there. Only {@link
 *     TrapAction.Redirect} keeps it alive: nothing begins there in the new code, so there is
 *     nothing to wait for
 */
public record Boundary(int offset, TrapAction trapAction) {
  /** Checks the offset. */
  public Boundary {
    checkArgument(offset > 0, "a boundary at offset %s is not inside of a site", offset);
  }

  /**
   * A boundary from which a thread goes on in the out-of-line copy, at once.
   *
   * @param offset in bytes from the site's first byte, at least 1
   * @param copy absolute address of the same instruction in the copy
   */
  public static Boundary copiedTo(int offset, long copy) {
    return new Boundary(offset, new TrapAction.Redirect(copy));
  }
}
