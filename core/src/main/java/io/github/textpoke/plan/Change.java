package io.github.textpoke.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;

/**
 * The bytes that stand at the site of a poke now, and those that shall. Immutable.
 *
 * @param evacuates whether a thread may stand inside that must not when the tail is written
 */
record Change(Poke poke, CodeBytes now, CodeBytes goal, boolean evacuates) {
  /** The absolute address of the site. */
  long address() {
    return poke.address();
  }

  /** The offsets of the boundaries inside. */
  ImmutableList<Integer> interior() {
    return poke.interior().stream().map(Boundary::offset).collect(ImmutableList.toImmutableList());
  }

  /** For each boundary inside, absolute, the absolute address in the copy. */
  ImmutableMap<Long, Long> mapping() {
    ImmutableMap.Builder<Long, Long> mapping = ImmutableMap.builder();
    for (Boundary boundary : poke.interior()) {
      if (!(boundary.trapAction() instanceof TrapAction.Redirect redirect)) {
        throw new IllegalStateException("no copy to go on in: " + boundary);
      }
      mapping.put(address() + boundary.offset(), redirect.address());
    }
    return mapping.buildOrThrow();
  }

  /** What stands there once all breakpoints do. */
  CodeBytes armed(CodeBytes breakpoint) {
    CodeBytes armed = now.with(0, breakpoint);
    if (evacuates) {
      for (int offset : interior()) {
        armed = armed.with(offset, breakpoint);
      }
    }
    return armed;
  }

  /** Whether the bytes behind the first one must be written behind the breakpoint. */
  boolean tailChanges(CodeBytes breakpoint) {
    return !sameTail(armed(breakpoint), goal) && !isWholeButForBreakpoints(breakpoint);
  }

  /**
   * Whether nothing but breakpoints of ours tells the tail from that of the goal, the several
   * instructions: then threads may stand inside, and each breakpoint can go by itself.
   */
  boolean isWholeButForBreakpoints(CodeBytes breakpoint) {
    if (poke.interior().isEmpty() || !goal.equals(poke.displacedBytes())) {
      return false;
    }
    CodeBytes whole = now;
    for (int offset : interior()) {
      if (now.at(offset) == breakpoint.at(0)) {
        whole = whole.with(offset, goal.slice(offset, offset + 1));
      }
    }
    return sameTail(whole, goal);
  }

  private static boolean sameTail(CodeBytes one, CodeBytes other) {
    return one.slice(1, one.length()).equals(other.slice(1, other.length()));
  }
}
