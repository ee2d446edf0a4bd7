package io.github.textpoke.plan;

import com.google.common.collect.ImmutableList;

/**
 * The ordered steps of one or many pokes: plain immutable data, made from bytes without a process.
 * Equal plans do the same.
 *
 * @param trapByte the one-byte breakpoint instruction, 0 to 255; the plan's instruction set is
 *     known here by this alone
 * @param pokes sorted by address, without overlap
 * @param steps what is done, in order
 */
public record PatchPlan(int trapByte, ImmutableList<Poke> pokes, ImmutableList<Step> steps) {

  /** The plan that does {@code pokes} by the protocol; see {@link PokeProtocol}. */
  public static PatchPlan of(int trapByte, Iterable<Poke> pokes) {
    return PokeProtocol.plan(trapByte, pokes);
  }

  /** The plan that undoes this one: each poke back, by the same protocol. */
  public PatchPlan inverse() {
    return of(trapByte, pokes.stream().map(Poke::inverse).toList());
  }
}
