package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.plan.Entrances;
import java.util.OptionalLong;

/**
 * A function's entry, as it stands now.
 *
 * @param code the function
 * @param site absolute address of the first instruction that a detour may displace
 * @param object that holds the function
 * @param entrances of that object
 * @param jumpsTo where a jump of a patch of ours leads that stands at the site; empty: none does
 */
record Entry(
    CodeRegion code, long site, ImageInMemory object, Entrances entrances, OptionalLong jumpsTo) {
  /** Bytes of a jump that reaches 2 GiB. */
  static final int JUMP_LENGTH = 5;

  /** The jump of ours alone. */
  CodeRegion jump() {
    int at = (int) (site - code.address());
    return new CodeRegion(
        code.name(),
        site,
        code.bytes().slice(at, at + JUMP_LENGTH),
        ImmutableSet.of(),
        ImmutableList.of(),
        code.backing());
  }
}
