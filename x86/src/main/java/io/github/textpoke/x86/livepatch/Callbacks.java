package io.github.textpoke.x86.livepatch;

import java.util.Optional;

/**
 * Functions of a live patch's object that are called once, on a thread of ours, around a change.
 * Each gets no arguments.
 *
 * @param prePatch before the first change to code is made; where it does not return 0 (an int), the
 *     patch is not enabled
 * @param postPatch when the new functions run
 * @param preUnpatch before the way back begins
 * @param postUnpatch when the old functions run again, also where enabling has failed behind {@code
 *     prePatch}
 */
public record Callbacks(
    Optional<String> prePatch,
    Optional<String> postPatch,
    Optional<String> preUnpatch,
    Optional<String> postUnpatch) {
  /** None. */
  public static final Callbacks NONE =
      new Callbacks(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());
}
