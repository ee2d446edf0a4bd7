package io.github.textpoke.apply;

import io.github.textpoke.linux.Registers;

/** Absolute addresses that threads are looked for at. */
interface Addresses {
  /** What a thread that stands at {@code address} is moved to; 0 where it stays. */
  long get(long address);

  /** Told the registers of each thread that is stopped for a look. */
  default void look(Registers registers) {}
}
