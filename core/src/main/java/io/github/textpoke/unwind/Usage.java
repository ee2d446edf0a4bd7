package io.github.textpoke.unwind;

/** Whether a thread is in certain code, or returns to it. */
public sealed interface Usage {
  /**
   * It is.
   *
   * @param frame the innermost one in that code
   */
  record Used(Frame frame) implements Usage {}

  /**
   * It is not.
   *
   * @param isTraced whether all its frames are known; else no word on its stack leads there
   */
  record Unused(boolean isTraced) implements Usage {}

  /**
   * Not all its frames are known, and a word on its stack may be the address of one.
   *
   * @param address absolute, of the word
   * @param word an absolute address in that code, or behind it
   * @param reason why its frames are not known
   */
  record Possible(long address, long word, String reason) implements Usage {}

  /**
   * It could not be told: the thread runs, or its stack can't be read.
   *
   * @param reason in words, fit for a message
   */
  record Untold(String reason) implements Usage {}
}
