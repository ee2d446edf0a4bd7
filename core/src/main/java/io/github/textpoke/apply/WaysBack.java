package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Iterables;
import com.google.common.collect.Lists;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * The steps back for whoever has only a plan's bytes and knows roughly how far it has come: another
 * poker, when the first one was killed. A step back is left out where it does not find what it
 * expects, so that one list is right for each point of a phase. Where several instructions are
 * displaced or put back, there are three phases, since the question of whether a thread may stand
 * inside has three answers (see {@link PokeProtocol}):
 *
 * <ol>
 *   <li>In the several instructions that are to go, yes: they stand, but for breakpoints.
 *   <li>Nowhere.
 *   <li>In the several instructions that have come, yes: their way back is an evacuation.
 * </ol>
 *
 * @param fromPhase for each phase, the steps back; one list where it is the same for all
 * @param leavingNew the steps that leave the new bytes, where the last of them meet an evacuation
 *     that is not possible: the breakpoints that they have set go again
 */
record WaysBack(ImmutableList<ImmutableList<Step>> fromPhase, ImmutableList<Step> leavingNew) {

  static WaysBack of(PatchPlan plan) {
    ImmutableList<Step> fromEnd = PokeProtocol.rollback(plan, plan.steps().size());
    if (plan.pokes().stream().allMatch(poke -> poke.interior().isEmpty())) {
      return new WaysBack(ImmutableList.of(fromEnd), ImmutableList.of());
    }
    List<Step> steps = plan.steps();
    OptionalInt first = firstEvacuation(steps);
    int emptied = emptied(steps);
    ImmutableList<Step> empty =
        merged(
            plan,
            PokeProtocol.rollback(plan, entered(plan.pokes(), plan.trapByte(), steps)),
            PokeProtocol.rollback(plan, emptied));
    return new WaysBack(
        ImmutableList.of(
            first.isPresent() ? PokeProtocol.rollback(plan, first.getAsInt()) : empty,
            empty,
            fromEnd),
        leavingNew(fromEnd));
  }

  private static OptionalInt firstEvacuation(List<Step> steps) {
    return first(steps, Step.Evacuate.class::isInstance);
  }

  private static OptionalInt first(List<Step> steps, Predicate<Step> condition) {
    return IntStream.range(0, steps.size()).filter(i -> condition.test(steps.get(i))).findFirst();
  }

  /** How many of the steps are done when the second phase begins: nobody stands inside. */
  static int emptied(List<Step> steps) {
    for (int i = steps.size(); i > 0; i--) {
      if (steps.get(i - 1) instanceof Step.Evacuate) {
        return i;
      }
    }
    return 0;
  }

  /** How many are done when the third begins: behind the next, threads may come in. */
  static int entered(List<Poke> pokes, int trapByte, List<Step> steps) {
    Set<Long> sites = addresses(pokes);
    return first(steps, step -> isLast(step, sites, trapByte)).orElse(steps.size());
  }

  private static ImmutableSet<Long> addresses(List<Poke> pokes) {
    return pokes.stream().map(Poke::address).collect(ImmutableSet.toImmutableSet());
  }

  /** Whether a step takes the breakpoint from the first byte of a site. */
  private static boolean isLast(Step step, Set<Long> sites, int trapByte) {
    return step instanceof Step.Write write
        && sites.contains(write.address())
        && write.expected().at(0) == trapByte
        && write.bytes().at(0) != trapByte;
  }

  /**
   * Both ways back in one: first all that is written behind a breakpoint on the first byte, then
   * the first bytes. What of it is done already, or was never undone, is left out.
   */
  private static ImmutableList<Step> merged(
      PatchPlan plan, ImmutableList<Step> late, ImmutableList<Step> early) {
    Set<Long> sites = addresses(plan.pokes());
    Set<Step> behind = new LinkedHashSet<>();
    Set<Step> last = new LinkedHashSet<>();
    for (Step step : Iterables.concat(late, early)) {
      if (step instanceof Step.Write) {
        (isLast(step, sites, plan.trapByte()) ? last : behind).add(step);
      }
    }
    return ImmutableList.<Step>builder()
        .addAll(behind)
        .add(new Step.SyncCores("no core can run a stale tail"))
        .addAll(last)
        .add(new Step.SyncCores("no core can run a stale breakpoint"))
        .build();
  }

  private static ImmutableList<Step> leavingNew(ImmutableList<Step> fromEnd) {
    OptionalInt evacuation = firstEvacuation(fromEnd);
    if (evacuation.isEmpty()) {
      return ImmutableList.of();
    }
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    for (Step step : Lists.reverse(fromEnd.subList(0, evacuation.getAsInt()))) {
      if (step instanceof Step.Write set) {
        steps.add(new Step.Write(set.address(), set.bytes(), set.expected(), "the new bytes stay"));
      }
    }
    return steps.add(new Step.SyncCores("no core can run a stale breakpoint")).build();
  }
}
