package io.github.textpoke.x86.detour;

/** Where a detour leads. */
sealed interface Destination {

  /**
   * Code that is there already.
   *
   * @param address absolute
   */
  record Elsewhere(long address) implements Destination {}

  /** The function as it was before. */
  record Original() implements Destination {}

  /**
   * A body of ours that returns for it.
   *
   * @param what it returns, and when
   * @param errnoLocation absolute address of {@code __errno_location}; 0 where errno is left alone
   */
  record Override(ReturnOverride what, long errnoLocation) implements Destination {}

  /**
   * A body of ours in which calls wait before they go on.
   *
   * @param sleeps whether they may call futex
   */
  record Holding(boolean sleeps) implements Destination {}

  /**
   * A body of ours in which calls are announced, and wait, before they go on.
   *
   * @param data absolute address of what they are announced in; see {@link AnnouncingBody}
   * @param kind which function it is, for who reads it
   * @param calls whether it may make system calls: who the caller is is not known else
   */
  record Announcing(long data, int kind, boolean calls) implements Destination {}
}
