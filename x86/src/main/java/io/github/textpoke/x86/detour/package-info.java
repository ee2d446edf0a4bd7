/**
 * Detours: a jump at a function's entry to other code, with the original still callable. They bring
 * stubs and out-of-line copies into the target, and stand in its ledger as any patch does.
 */
@NullMarked
package io.github.textpoke.x86.detour;

import org.jspecify.annotations.NullMarked;
