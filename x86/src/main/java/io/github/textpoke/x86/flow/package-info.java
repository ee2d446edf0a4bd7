/**
 * Where control goes from an object's code: direct branches, jump tables, addresses taken. In go
 * the bytes of an ELF object; out come pairs of link-time addresses, from and to. Touches no
 * process. The entries are {@link io.github.textpoke.x86.flow.ObjectSweep} for a whole object and
 * {@link io.github.textpoke.x86.flow.FunctionCode} for one function.
 */
@NullMarked
package io.github.textpoke.x86.flow;

import org.jspecify.annotations.NullMarked;
