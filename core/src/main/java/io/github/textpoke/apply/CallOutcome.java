package io.github.textpoke.apply;

/** What became of a function that was called in a target: see {@link TargetProcess#call}. */
public sealed interface CallOutcome {
  /**
   * It has returned.
   *
   * @param value what the function has returned, all of RAX: of a narrower type, the upper bits
   *     mean nothing
   */
  record Returned(long value) implements CallOutcome {}

  /**
   * It has run into a signal that would have killed the program, or raised one; the program has not
   * seen it. What it held is lost: a lock stays locked, an allocation is not freed. Its stack and
   * its thread-local variables stay mapped, since something may refer to them.
   *
   * @param signal the number, such as 11 for SIGSEGV
   * @param address absolute, of the instruction; behind the instruction for SIGTRAP and for a
   *     signal that it has raised itself
   */
  record Crashed(int signal, long address) implements CallOutcome {}

  /**
   * It has ended its thread without returning, by the exit system call. What it held is lost as
   * with {@link Crashed}.
   */
  record Ended() implements CallOutcome {}

  /**
   * It has not returned in time. Its thread was ended wherever it was, and what it held is lost as
   * with {@link Crashed}.
   *
   * @param ended whether its thread has ended; false: the thread is in a system call that nothing
   *     interrupts, and goes on when that is over
   */
  record TimedOut(boolean ended) implements CallOutcome {}
}
