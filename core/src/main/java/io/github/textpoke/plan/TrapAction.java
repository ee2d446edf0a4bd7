package io.github.textpoke.plan;

/** What becomes of a thread that runs the breakpoint of a site. */
public sealed interface TrapAction {
  /**
   * The thread waits until the site's first byte is written, then runs the site again. For every
   * replacement: it needs no emulation. Resuming it at once livelocks.
   */
  record Rewind() implements TrapAction {}

  /**
   * The thread goes on at another address, at once.
   *
   * @param address absolute
   */
  record Redirect(long address) implements TrapAction {}

  /** The program gets the SIGTRAP: it armed the breakpoint for itself. */
  record PassOn() implements TrapAction {}
}
