/**
 * Live patches: new versions of functions, put into a running process and taken out again as one
 * object. {@link io.github.textpoke.x86.livepatch.LivePatches} is where to start.
 */
@org.jspecify.annotations.NullMarked
package io.github.textpoke.x86.livepatch;
