package io.github.textpoke.apply;

import io.github.textpoke.plan.Poke;
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
    /** Its instruction is displaced: go on in the out-of-line copy, at once. */
    REDIRECT,
    /** The breakpoint was ours: run the site again, at once, unless another stands there now. */
    REWIND_IF_GONE,
    /**
     * The breakpoint was ours, inside of a site: go on in the copy, at once, unless another stands
     * there now. Whichever code stands there, the copy does what was to be run.
     */
    REDIRECT_IF_GONE,
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
      return plan.redirects.get(site) == 0 ? Decision.PARK : Decision.REDIRECT;
    }
    if (retiredCopy(site) != 0) {
      return Decision.REDIRECT_IF_GONE;
    }
    for (int i = 0; i < retired.size(); i++) {
      if (retired.get(i).takesTrapAt(site)) {
        return Decision.REWIND_IF_GONE;
      }
    }
    return Decision.PASS_ON;
  }

  /**
   * Where a thread goes on that is to be redirected: absolute address in the out-of-line copy.
   *
   * @param site for which {@link #decide} says so
   */
  long copyOf(long site) {
    CompiledPlan plan = current;
    long copy = plan == null ? 0 : plan.redirects.get(site);
    return copy != 0 ? copy : retiredCopy(site);
  }

  private long retiredCopy(long site) {
    for (int i = 0; i < retired.size(); i++) {
      long copy = retired.get(i).interior.get(site);
      if (copy != 0) {
        return copy;
      }
    }
    return 0;
  }

  /** The poke of a plan that is done inside of which a breakpoint stood at {@code site}. */
  @Nullable Poke retiredAround(long site) {
    for (CompiledPlan plan : retired) {
      if (plan.interior.get(site) != 0) {
        for (Poke poke : plan.plan.pokes()) {
          if (Long.compareUnsigned(site - poke.address(), poke.length()) < 0) {
            return poke;
          }
        }
      }
    }
    return null;
  }
}
