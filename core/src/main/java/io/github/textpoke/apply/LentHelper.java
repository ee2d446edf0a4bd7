package io.github.textpoke.apply;

/**
 * The poker's helper, while nobody uses it: a thread of this JVM may trace it and make calls in it,
 * so that no thread of the program is borrowed. Whenever the tracer dies, the helper goes on with
 * what it did before, or leaves the target.
 *
 * @param tid its thread id
 * @param call address of a {@code syscall} instruction behind which it leaves
 */
record LentHelper(int tid, long call) {}
