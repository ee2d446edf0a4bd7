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

  /** Counts calls: about a nanosecond each where the program has a C library. */
  static ProbeAction count() {
    return new Count();
  }
}
