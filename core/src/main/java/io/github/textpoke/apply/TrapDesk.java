package io.github.textpoke.apply;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Decides what becomes of a thread that ran a breakpoint, from the address alone, before any call
 * is made. Remembers the sites of this session: #BP may still come from a site whose breakpoint is
 * gone (kernel: the handler must track the current and the previous site).
 */
final class TrapDesk {
  /** What to do with a thread that has trapped. */
  enum Decision {
    /** The site is being patched: wait until its first byte is written, then run it again. */
    PARK,
    /** The breakpoint was ours: run the site again, at once, unless another stands there now. */
    REWIND_IF_GONE,
    /** Not ours. */
    PASS_ON
  }

  private @Nullable CompiledPlan current;

  /** Plans done since all threads were last seen clean. */
  private final List<CompiledPlan> retired = new ArrayList<>();

  /** From now on the sites of {@code plan} may trap. */
  void begin(CompiledPlan plan) {
    current = plan;
  }

  /** The breakpoints of the current plan are gone; late traps may still come. */
  void retire() {
    CompiledPlan plan = current;
    current = null;
    if (plan != null && !retired.contains(plan)) {
      retired.add(plan);
    }
  }

  /** Whether any site was poked since {@link #forget}. */
  boolean mayTrapLate() {
    return !retired.isEmpty();
  }

  /** Every thread was seen clean. */
  void forget() {
    retired.clear();
  }

  /** The plan that is under way. */
  @Nullable CompiledPlan current() {
    return current;
  }

  /** The plans that are done. */
  List<CompiledPlan> retired() {
    return retired;
  }

  /**
   * @param site address of the breakpoint that was run
   */
  Decision decide(long site) {
    CompiledPlan plan = current;
    if (plan != null && plan.takesTrapAt(site)) {
      return Decision.PARK;
    }
    for (int i = 0; i < retired.size(); i++) {
      if (retired.get(i).takesTrapAt(site)) {
        return Decision.REWIND_IF_GONE;
      }
    }
    return Decision.PASS_ON;
  }
}
