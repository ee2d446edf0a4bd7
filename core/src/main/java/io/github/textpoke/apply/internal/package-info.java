/**
 * What the two halves of the poker engine agree on: the Java side, and the code that runs inside
 * the target. For nobody else.
 */
@NullMarked
package io.github.textpoke.apply.internal;

import org.jspecify.annotations.NullMarked;
