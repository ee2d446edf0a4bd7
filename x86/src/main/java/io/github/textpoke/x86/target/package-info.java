/**
 * The code that runs inside a target: the helper and the poker, written in a small structured
 * language whose output is position-independent x86-64 code. {@link
 * io.github.textpoke.x86.target.PokerTasks} is what they do, step by step; the emitter below it
 * knows nothing of patching. Made without a process.
 */
@NullMarked
package io.github.textpoke.x86.target;

import org.jspecify.annotations.NullMarked;
