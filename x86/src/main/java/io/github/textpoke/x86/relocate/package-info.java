/**
 * Moves displaced instructions to where they do the same. In comes code, a site and an address; out
 * comes the code for that address, with a map from each old boundary to its new one, or a refusal
 * that names a rule. Nothing here touches a process. The entry is {@link
 * io.github.textpoke.x86.relocate.OutOfLineCopy}.
 */
@NullMarked
package io.github.textpoke.x86.relocate;

import org.jspecify.annotations.NullMarked;
