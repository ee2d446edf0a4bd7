package io.github.textpoke.x86.link;

/**
 * A word of a linked object that only the target can find: {@code resolver()}, plus {@code addend}.
 * Until it is written it is 0.
 *
 * @param slot absolute address of the 8 bytes, which may lie in pages that are {@code r--}
 * @param resolver absolute address of a function without arguments that returns an address
 * @param addend what is added to that
 */
public record PendingCall(long slot, long resolver, long addend) {}
