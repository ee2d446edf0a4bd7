package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;

/**
 * Where in a site a thread may stand, and what it may run from there. Immutable.
 *
 * @param offset in bytes from the site's first byte
 * @param oldEnd offset behind the old instruction that begins there; 0 where none does
 * @param newEnd offset behind the new instruction that begins there; 0 where none does
 * @param trapAction what becomes of a thread that runs the breakpoint there
 */
record Stand(Poke poke, int offset, int oldEnd, int newEnd, TrapAction trapAction) {
  /** On the first byte: both codes begin there. */
  static Stand first(Poke poke) {
    return new Stand(poke, 0, poke.firstOldLength(), poke.firstNewLength(), poke.trapAction());
  }

  /** On each boundary inside, ascending: an instruction of the code that has several. */
  static ImmutableList<Stand> inside(Poke poke) {
    ImmutableList.Builder<Stand> stands = ImmutableList.builder();
    for (Boundary boundary : poke.interior()) {
      int end = boundary.offset() + poke.instructionAt(boundary).length();
      stands.add(
          new Stand(
              poke,
              boundary.offset(),
              poke.displaces() ? end : 0,
              poke.restores() ? end : 0,
              boundary.trapAction()));
    }
    return stands.build();
  }

  boolean isInside() {
    return offset > 0;
  }
}
