package io.github.textpoke.x86.plan;

import io.github.textpoke.decode.CodeRegion;
import java.util.Optional;

/** Gives a planner functions that it has not been given and must look at. */
@FunctionalInterface
public interface FunctionSource {
  /** Knows none: what would need another function is refused. */
  FunctionSource NONE = address -> Optional.empty();

  /**
   * The whole function that begins at an address, as it stands now, with what we have patched in
   * it.
   *
   * @param address absolute
   * @return empty if it is not known that one begins there
   */
  Optional<CodeRegion> startingAt(long address);
}
