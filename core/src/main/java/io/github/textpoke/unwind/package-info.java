/**
 * Where threads are, from outside: the frames of a stack by the call frame information of the
 * objects whose code runs, and whether code is in use. Start with {@link
 * io.github.textpoke.unwind.Unwinder} and {@link io.github.textpoke.unwind.StackUse}.
 *
 * <p>It stops nobody and knows no thread: registers and memory are given to it. What it can't know
 * it says, with the reason, and never guesses.
 */
@NullMarked
package io.github.textpoke.unwind;

import org.jspecify.annotations.NullMarked;
