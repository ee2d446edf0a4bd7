package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import java.util.Comparator;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * What two engines do alike, each to its own instance of one program, and what happens meanwhile.
 *
 * @param what done by the engine
 * @param incidents in the order of their steps
 * @param steps the steps that are done instead of the plan's
 */
record Deed(
    What what, ImmutableList<Incident> incidents, UnaryOperator<ImmutableList<Step>> steps) {

  /** What an engine does. */
  sealed interface What {}

  /**
   * Applies a plan.
   *
   * @param label names the patch from now on
   * @param plan at the addresses of one instance
   * @param places those of that instance
   */
  record Apply(String label, PatchPlan plan, Places places) implements What {
    /** The plan at the addresses of another instance. */
    PatchPlan in(Places others) {
      return PatchPlan.of(
          plan.trapByte(),
          plan.pokes().stream()
              .map(
                  poke ->
                      new Poke(
                          new Site(moved(poke.address(), others), poke.site().bytes()),
                          poke.oldLength(),
                          poke.replacement(),
                          poke.newLength(),
                          moved(poke.trapAction(), others),
                          moved(poke.oldInterior(), others),
                          moved(poke.newInterior(), others)))
              .toList());
    }

    private ImmutableList<Boundary> moved(List<Boundary> boundaries, Places others) {
      return boundaries.stream()
          .map(boundary -> new Boundary(boundary.offset(), moved(boundary.trapAction(), others)))
          .collect(ImmutableList.toImmutableList());
    }

    private TrapAction moved(TrapAction action, Places others) {
      return action instanceof TrapAction.Redirect redirect
          ? new TrapAction.Redirect(moved(redirect.address(), others))
          : action;
    }

    private long moved(long address, Places others) {
      return others.address(places.name(address));
    }

    @Override
    public String toString() {
      return label
          + plan.pokes().stream()
              .map(
                  poke ->
                      places.name(poke.address())
                          + " "
                          + poke.site().bytes()
                          + (poke.displaces() ? " displaced by " : " to ")
                          + poke.replacement()
                          + " "
                          + places.named(poke.trapAction()))
              .toList();
    }
  }

  /**
   * Reverts the patch of that label.
   *
   * @param redirects whether threads that meet its breakpoints go on in a copy of the old code
   */
  record Revert(String label, boolean redirects) implements What {}

  /** Finishes or rolls back what was cut off. */
  record Recover() implements What {}

  /** Something that happens just before a step of the plan. */
  sealed interface Incident {
    /** The number of the step; -1: before anything is done. */
    int step();
  }

  /** A runner calls the code at {@code place}, and gets as far as it can. */
  record Call(int step, int runner, String place) implements Incident {}

  /** Another tool writes. */
  record Change(int step, String place, CodeBytes bytes) implements Incident {}

  /** The program is told something, and has counted it. */
  record Command(int step, String line, String counter) implements Incident {}

  /** Done without an incident. */
  static Deed of(What what) {
    return new Deed(what, ImmutableList.of(), UnaryOperator.identity());
  }

  /** Whether who waits may go on in a copy of the old code, and not in what stands at the end. */
  boolean redirects() {
    return what instanceof Apply apply
        ? redirects(apply.plan)
        : what instanceof Revert revert && revert.redirects;
  }

  /** Whether threads that meet a breakpoint of a plan go on in a copy of the old code. */
  static boolean redirects(PatchPlan plan) {
    return plan.pokes().stream()
        .anyMatch(
            poke -> !poke.interior().isEmpty() && poke.trapAction() instanceof TrapAction.Redirect);
  }

  @Override
  public String toString() {
    return what + " " + incidents;
  }

  /** As this, with more incidents. */
  Deed with(List<? extends Incident> more) {
    return new Deed(
        what,
        Stream.concat(incidents.stream(), more.stream())
            .sorted(Comparator.comparing(Incident::step))
            .collect(ImmutableList.toImmutableList()),
        steps);
  }

  /** As this, with other steps. */
  Deed withSteps(UnaryOperator<ImmutableList<Step>> value) {
    return new Deed(what, incidents, value);
  }
}
