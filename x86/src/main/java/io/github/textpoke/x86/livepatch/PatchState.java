package io.github.textpoke.x86.livepatch;

import java.util.Arrays;
import java.util.Optional;

/** What a live patch in a process is. */
public enum PatchState {
  /** Its object is in the process, and was never enabled. */
  REGISTERED("registered"),
  /** On its way to {@link #ENABLED}, or back; or whoever did that was cut off. */
  ENABLING("enabling"),
  /** Its functions run. */
  ENABLED("enabled"),
  /** On its way to {@link #DISABLED}, or back; or whoever did that was cut off. */
  DISABLING("disabling"),
  /** Its functions ran, and the old ones run again. */
  DISABLED("disabled"),
  /** It is unloaded; its memory stays, since something may refer to it. */
  UNREGISTERED("unregistered");

  private final String word;

  PatchState(String word) {
    this.word = word;
  }

  /** In a word, for people. */
  public String word() {
    return word;
  }

  /** As it is noted in the process: 1 and more, since new memory holds 0. */
  int code() {
    return ordinal() + 1;
  }

  static Optional<PatchState> of(int code) {
    return Arrays.stream(values()).filter(state -> state.code() == code).findFirst();
  }
}
