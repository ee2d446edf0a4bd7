/**
 * What shall be done: pokes go in, a {@link io.github.textpoke.plan.PatchPlan} comes out, by the
 * protocol of {@link io.github.textpoke.plan.PokeProtocol}. Immutable data, made from bytes alone
 * on any operating system; it prints as a table and has a JSON form. No instruction set is known
 * here but for the breakpoint's one byte: which code may be poked is the planner's question.
 */
@NullMarked
package io.github.textpoke.plan;

import org.jspecify.annotations.NullMarked;
