/**
 * The few x86-64 instructions that a patch is made of. In comes what is wanted ({@code jmp}, {@code
 * nop}, bytes of the user); out come the bytes for an address and a length. The entry is {@link
 * io.github.textpoke.x86.encode.Assembly}.
 */
@NullMarked
package io.github.textpoke.x86.encode;

import org.jspecify.annotations.NullMarked;
