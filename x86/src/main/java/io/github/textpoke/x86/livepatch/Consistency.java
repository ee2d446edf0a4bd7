package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableMap;
import java.util.Arrays;
import java.util.Optional;

/** What a program sees of the moment at which a live patch is enabled or disabled. */
public enum Consistency {
  /**
   * Each call runs the old function or the new one, and those that begin later run the new one; all
   * functions change at once. A thread that is in an old function may call a new one.
   */
  IMMEDIATE("immediate"),

  /**
   * As {@link #IMMEDIATE}, and at that moment no thread has a function of the side that is left on
   * its stack. Fibers that no thread runs are not looked at.
   */
  WHEN_UNUSED("when-unused");

  private static final ImmutableMap<String, Consistency> WORDS =
      Arrays.stream(values())
          .collect(ImmutableMap.toImmutableMap(Consistency::word, value -> value));

  private final String word;

  Consistency(String word) {
    this.word = word;
  }

  /** As it is written in a description. */
  public String word() {
    return word;
  }

  /** The one that is written so. */
  static Optional<Consistency> of(String word) {
    return Optional.ofNullable(WORDS.get(word));
  }
}
