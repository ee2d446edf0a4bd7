/**
 * Probes: what functions of a running process do, counted in the process itself. A jump at a
 * function's entry leads to a body of ours, which does its work and goes on to the function.
 */
@NullMarked
package io.github.textpoke.x86.probe;

import org.jspecify.annotations.NullMarked;
