package io.github.textpoke.x86.probe;

import com.google.common.primitives.ImmutableLongArray;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * A call that a probe of {@link ProbeAction#capture} has kept.
 *
 * @param function that was called
 * @param nanos when it began, of {@link System#nanoTime} of this JVM
 * @param threadPointer absolute address of the thread's control block; a later thread may have it
 *     again
 * @param thread the thread's id in the target's pid namespace, as its C library has noted it; empty
 *     where that is not the GNU C Library, or the function is its loader's
 * @param arguments the values of {@link ProbeAction.Capture#arguments}, in their order, each as its
 *     {@link Argument#type} and mask have it
 * @param returned the value that it returned; empty where that is not asked for, or the function
 *     went on in another one by a jump
 * @param tookNanos how long it took, in nanoseconds; empty where what it returns is not asked for
 */
public record CapturedCall(
    ProbedFunction function,
    long nanos,
    long threadPointer,
    OptionalInt thread,
    ImmutableLongArray arguments,
    OptionalLong returned,
    OptionalLong tookNanos) {}
