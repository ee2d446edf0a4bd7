package io.github.textpoke.x86.probe;

/** What a probe does at each call of a function. Immutable and thread-safe. */
public sealed interface ProbeAction {
  /** It counts. */
  record Count() implements ProbeAction {
    @Override
    public String toString() {
      return "count";
    }
  }

  /** It counts, and takes the time from the entry to the exit. */
  record Latency() implements ProbeAction {
    @Override
    public String toString() {
      return "latency";
    }
  }

  /**
   * Counts calls and takes their times, on the thread that makes them, in a histogram. What is
   * patched is the entry and each exit: all returns and the jumps to other functions at the end of
   * this one. Return addresses stay as they are, so exceptions, shadow stacks and whoever looks at
   * stacks do not mind. A function with an exit that can't be found for certain, or where no jump
   * can stand, is left out: see {@link Probe#unprobed}.
   *
   * <p>A call is timed if it begins and ends while the probe is armed. Left out are those that end
   * by longjmp or an exception; now and then one whose place on the stack shares a cell with
   * another's; and those of threads that need a histogram when there is none left.
   */
  static ProbeAction latency() {
    return new Latency();
  }

  /** Counts calls: about a nanosecond each where the program has a C library. */
  static ProbeAction count() {
    return new Count();
  }
}
