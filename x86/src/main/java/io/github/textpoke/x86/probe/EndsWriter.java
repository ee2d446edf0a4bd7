package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import java.util.function.LongFunction;

/** Writes slots at entries and bodies at exits, one behind the other. Of one thread. */
sealed interface EndsWriter permits LatencyWriter, CaptureWriter {
  /** Slots begin at a multiple of this. */
  int ALIGNMENT = 16;

  /** Absolute address of the next slot. */
  long nextSlot();

  /**
   * Writes the slot of an entry.
   *
   * @param function its place among the functions, from 0
   * @param goOn what is run behind the body, for an absolute address; it does not fall through
   */
  void entry(int function, LongFunction<CodeBytes> goOn);

  /**
   * Writes the slot of an exit.
   *
   * @param goOn what is run, with {@link #exit} in it, for an absolute address; it does not fall
   *     through
   */
  void exitSlot(LongFunction<CodeBytes> goOn);

  /**
   * The body of an exit: it falls through at its end.
   *
   * @param function its place among the functions, from 0
   * @param isReturn whether the function returns there; else it goes on in another one
   * @param address absolute address of its first byte
   */
  CodeBytes exit(int function, boolean isReturn, long address);

  /** Writes what a slot leads on to when it is bypassed; its absolute address is that before. */
  void copy(CodeBytes copy);

  /** All that was written. */
  CodeBytes bytes();
}
