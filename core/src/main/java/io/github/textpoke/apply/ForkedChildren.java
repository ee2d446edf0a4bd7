package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.Poke;
import java.lang.System.Logger.Level;

/**
 * A child that was forked while a site held a breakpoint has inherited it, and nobody who would
 * take its trap. The child is still stopped, with one thread, so its sites are made whole before it
 * runs: old bytes where the parent's patch is under way, the parent's bytes where it is done.
 *
 * <p>It comes from a system call, so it stands outside of every site. Its stack is a copy of its
 * parent's, which may lead back inside of one where it was forked before the evacuation: then the
 * several instructions stand there still, and it keeps them.
 */
final class ForkedChildren {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  private final ProcMem parent;
  private final TrapDesk desk;
  private final int trapByte;

  ForkedChildren(ProcMem parent, TrapDesk desk, int trapByte) {
    this.parent = parent;
    this.desk = desk;
    this.trapByte = trapByte;
  }

  /** Whether a breakpoint stands at {@code site} of the parent. Allocates nothing. */
  boolean breakpointStands(long site) {
    return parent.readByte(site) == trapByte;
  }

  /**
   * Whether a breakpoint stands at {@code site}, a boundary inside of a site of a plan that is
   * done, and is somebody else's. Where one instruction stands, none can: a byte of it looks like
   * one.
   */
  boolean isNotOurs(long site) {
    Poke poke = breakpointStands(site) ? desk.retiredAround(site) : null;
    CodeBytes now = poke == null ? null : parent.read(poke.address(), poke.length());
    return now != null && poke != null && DisplacedBytes.standIn(now, poke, trapByte);
  }

  /** Makes the sites of a stopped child whole. A child that was killed meanwhile needs nothing. */
  void settle(int child) {
    CompiledPlan current = desk.current();
    if (current == null && !desk.mayTrapLate()) {
      return;
    }
    int[] error = new int[1];
    ProcMem memory = ProcMem.open(child, error);
    if (memory == null) {
      if (error[0] != Errno.ESRCH && error[0] != Errno.ENOENT) {
        LOGGER.log(
            Level.ERROR,
            "child {0} has inherited breakpoints that can''t be taken back: errno {1}",
            child,
            error[0]);
      }
      return;
    }
    try (memory) {
      if (current != null) {
        for (Poke poke : current.plan.pokes()) {
          if (holdsBreakpoint(memory, poke.address())) {
            memory.write(poke.address(), whole(memory, poke, poke.site().bytes()));
          }
        }
      }
      for (CompiledPlan done : desk.retired()) {
        for (Poke poke : done.plan.pokes()) {
          if (holdsBreakpoint(memory, poke.address()) && !breakpointStands(poke.address())) {
            CodeBytes parents = parent.read(poke.address(), poke.length());
            if (parents != null) {
              memory.write(poke.address(), whole(memory, poke, parents));
            }
          }
        }
      }
    }
  }

  private CodeBytes whole(ProcMem child, Poke poke, CodeBytes otherwise) {
    CodeBytes now = poke.interior().isEmpty() ? null : child.read(poke.address(), poke.length());
    return now != null && DisplacedBytes.standIn(now, poke, trapByte)
        ? poke.displacedBytes()
        : otherwise;
  }

  private boolean holdsBreakpoint(ProcMem memory, long site) {
    return memory.readByte(site) == trapByte;
  }
}
