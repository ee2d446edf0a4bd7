package io.github.textpoke.x86.probe;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.x86.plan.Entrances;
import io.github.textpoke.x86.plan.FunctionEnds;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.Optional;

/**
 * A function, or an instruction inside of one, to be probed, as it stands now.
 *
 * @param function for the user
 * @param code all of it
 * @param site absolute address of the first instruction that the jump may displace, or that the
 *     breakpoint stands on
 * @param isInside whether flags, all registers and the red zone may be in use there
 * @param entrances of its object
 * @param planner that knows of its object's restartable sequences
 * @param length how many bytes from the site on the jump displaces, or replaces; of a breakpoint 1
 * @param jump the jump of a patch of ours that stands at the site; empty: there is none
 * @param ends its entry and all exits, where these are asked for
 */
record Target(
    ProbedFunction function,
    CodeRegion code,
    long site,
    boolean isInside,
    Entrances entrances,
    X86Planner planner,
    int length,
    Optional<OwnJump> jump,
    Optional<FunctionEnds> ends) {
  /** Whether it is a breakpoint that stays. */
  boolean isBreakpoint() {
    return function.stand() instanceof ProbeStand.Breakpoint;
  }

  /**
   * A jump of five bytes.
   *
   * @param code it alone
   * @param target absolute address where it leads
   */
  record OwnJump(CodeRegion code, long target) {}
}
