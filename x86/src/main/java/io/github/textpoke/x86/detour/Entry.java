package io.github.textpoke.x86.detour;

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
    CodeRegion code, long site, ImageInMemory object, Entrances entrances, Optional<OwnJump> jump) {
  /** Bytes of a jump that reaches 2 GiB. */
  static final int JUMP_LENGTH = 5;

  /**
   * A jump that a patch of ours has put there.
   *
   * @param code it alone
   * @param target absolute address where it leads
   */
  record OwnJump(CodeRegion code, long target) {}
}
