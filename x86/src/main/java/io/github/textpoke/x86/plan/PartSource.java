package io.github.textpoke.x86.plan;

import io.github.textpoke.decode.CodeRegion;

/** Tells of the parts of a function that were split off from it. */
@FunctionalInterface
public interface PartSource {
  /**
   * A range of code, as it stands now.
   *
   * @param start absolute address of its first byte
   * @param end absolute address behind its last byte
   */
  CodeRegion part(long start, long end);
}
