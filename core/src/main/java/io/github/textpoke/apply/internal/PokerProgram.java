package io.github.textpoke.apply.internal;

import com.google.common.collect.ImmutableSortedSet;
import io.github.textpoke.CodeBytes;

/**
 * The code of helper and poker for one instruction set, found by {@link java.util.ServiceLoader}.
 * Position-independent; the first byte is the helper's entry, and {@link SessionLayout} says what
 * it finds where.
 */
public interface PokerProgram {
  /** The code, to be mapped readable and executable at a page. */
  CodeBytes code();

  /**
   * The code that brings them into a target, to be called in this JVM as a C function with the
   * address of a {@link BorrowLayout}: it starts a process that shares this JVM's memory, and
   * returns that process's id or the negated errno.
   */
  CodeBytes borrower();

  /**
   * The code that a thread of ours runs to call one function of the target, and that ends the
   * thread then: {@link CallLayout} says what it finds where. It needs no tracer.
   */
  CodeBytes caller();

  /**
   * The code that starts a program, to be called in this JVM as a C function with the address of a
   * {@link LaunchLayout}: it starts a process that shares this JVM's memory, the launcher, which
   * starts the program, and returns the launcher's process id or the negated errno.
   */
  CodeBytes launcher();

  /**
   * The code in which a program that has not begun waits; {@link HoldLayout} says what lies where.
   *
   * @param at absolute address of the first of its two pages
   */
  CodeBytes holder(long at);

  /**
   * A jump, no longer than a function that does nothing and is aligned to 16 bytes.
   *
   * @param at absolute address where it will stand
   * @param to absolute address, within 2 GiB
   */
  CodeBytes jump(long at, long to);

  /** The numbers of all system calls in {@link #code}. */
  ImmutableSortedSet<Integer> systemCalls();
}
