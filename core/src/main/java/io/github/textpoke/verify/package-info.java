/**
 * Whether a plan is safe: a {@link io.github.textpoke.plan.PatchPlan} goes into {@link
 * io.github.textpoke.verify.Verifier}, a {@link io.github.textpoke.verify.Verdict} comes out. It
 * judges by the steps alone, whoever made them.
 */
@NullMarked
package io.github.textpoke.verify;

import org.jspecify.annotations.NullMarked;
