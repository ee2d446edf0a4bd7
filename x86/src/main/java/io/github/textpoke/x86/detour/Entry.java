package io.github.textpoke.x86.detour;

import static com.google.common.base.Preconditions.checkState;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.plan.Entrances;
import java.util.Optional;

/**
 * A function's entry, as it stands now.
 *
 * @param code the function
 * @param site absolute address of the first instruction that a detour may displace
 * @param object that holds the function
 * @param entrances of that object
 * @param jump the jump of five bytes of a patch of ours through which all calls go; empty: there is
 *     none
 */
record Entry(
    CodeRegion code,
    long site,
    ImageInMemory object,
    Entrances entrances,
    Optional<CodeRegion> jump) {
  /** Bytes of a jump that reaches 2 GiB. */
  static final int JUMP_LENGTH = 5;

  /**
   * Absolute, where {@link #jump} leads.
   *
   * @throws IllegalStateException if there is none
   */
  long jumpsTo() {
    checkState(jump.isPresent(), "no jump of ours at the entry of %s", code.name());
    CodeRegion region = jump.get();
    int displacement = 0;
    for (int i = JUMP_LENGTH - 1; i > 0; i--) {
      displacement = displacement << 8 | region.bytes().at(i);
    }
    return region.address() + JUMP_LENGTH + displacement;
  }
}
