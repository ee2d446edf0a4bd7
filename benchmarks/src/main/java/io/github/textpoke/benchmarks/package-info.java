/**
 * What planning, verifying and poking cost: JMH benchmarks, and {@link
 * io.github.textpoke.benchmarks.SideBySide}, which measures textpoke and a reference in C in turn
 * in one run. How to read the figures: {@code benchmarks/README.md}.
 */
@NullMarked
package io.github.textpoke.benchmarks;

import org.jspecify.annotations.NullMarked;
