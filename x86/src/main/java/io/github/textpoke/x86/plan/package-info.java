/**
 * Makes plans: code, a site and a replacement go in, a {@link io.github.textpoke.plan.PatchPlan}
 * comes out, or a refusal that names one of the {@link io.github.textpoke.x86.plan.Rules}. Nothing
 * here touches a process. The entry is {@link io.github.textpoke.x86.plan.X86Planner}.
 */
@NullMarked
package io.github.textpoke.x86.plan;

import org.jspecify.annotations.NullMarked;
