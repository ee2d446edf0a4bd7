package io.github.textpoke.x86.link;

/**
 * Where a linked object's unwind information ({@code .eh_frame}) stands.
 *
 * @param start absolute address of its first byte
 * @param end absolute address behind its last
 * @param isTerminated whether it ends with a length of 0, as {@code __register_frame} of libgcc
 *     needs it; one that was linked with {@code -nostartfiles} does not
 */
public record FrameTable(long start, long end, boolean isTerminated) {}
