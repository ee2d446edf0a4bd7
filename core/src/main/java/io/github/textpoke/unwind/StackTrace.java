package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableList;

/**
 * The functions that a thread is in.
 *
 * @param frames the innermost first; that where an incomplete trace ends is among them
 * @param end why there are no more
 */
public record StackTrace(ImmutableList<Frame> frames, End end) {
  /** Why a trace ends. */
  public sealed interface End {}

  /**
   * The last frame has no caller: by its call frame information the return address is undefined, as
   * of {@code _start} and where threads begin.
   */
  public record Complete() implements End {}

  /**
   * The caller of the last frame is not known.
   *
   * @param pc absolute, of the last frame
   * @param stackPointer absolute, of the last frame: all its callers' return addresses lie above
   * @param reason in words, fit for a message
   */
  public record Unknown(long pc, long stackPointer, String reason) implements End {}

  /** Whether all functions are known. */
  public boolean isComplete() {
    return end instanceof Complete;
  }
}
