package io.github.textpoke.unwind;

import io.github.textpoke.elf.CallFrames;
import java.util.Optional;

/** Finds the object that code belongs to. */
@FunctionalInterface
public interface CodeObjects {
  /**
   * An object in memory.
   *
   * @param frames its call frame information
   * @param bias what to add to a link-time address for an absolute one
   */
  record Loaded(CallFrames frames, long bias) {}

  /**
   * The object whose code is at the absolute {@code address}; empty where there is none.
   *
   * @throws io.github.textpoke.PatchException.BadObjectException if there is one that can't be read
   */
  Optional<Loaded> at(long address);

  /** Looks here first, then in {@code others}. */
  default CodeObjects or(CodeObjects others) {
    return address -> at(address).or(() -> others.at(address));
  }
}
