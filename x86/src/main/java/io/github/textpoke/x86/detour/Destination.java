package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;

/** Where a detour leads. */
sealed interface Destination permits Destination.Elsewhere, Destination.Original, Destination.Body {

  /**
   * Code that is there already.
   *
   * @param address absolute
   */
  record Elsewhere(long address) implements Destination {}

  /** The function as it was before. */
  record Original() implements Destination {}

  /** Code that comes along with the detour. */
  non-sealed interface Body extends Destination {
    /** Bytes of code, at most. */
    int codeSize();

    /** Bytes of data; 0 for none. */
    int dataSize();

    /**
     * Its code.
     *
     * @param address absolute address where it will stand
     * @param data absolute address of its data
     * @param original absolute address of the code that runs the function as it was before
     */
    CodeBytes code(long address, long data, long original);

    /** What its data begins as: {@link #dataSize} bytes. */
    CodeBytes data();
  }
}
