/**
 * Detours: a jump at a function's entry to other code, with the original still callable, or to a
 * body that returns for it. They bring stubs and out-of-line copies into the target, and stand in
 * its ledger as any patch does.
 *
 * <p>What an override returns is said, and its body made, without a process.
 */
@NullMarked
package io.github.textpoke.x86.detour;

import org.jspecify.annotations.NullMarked;
