package io.github.textpoke.apply;

import io.github.textpoke.plan.PatchPlan;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiPredicate;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The plans of a process that were used last, verified and laid out for the engine, and the plans
 * that undo them: those of thousands of sites take longer to make than to carry out. They are few,
 * and looked for one by one, since a hash of such a plan takes long too. Not thread-safe.
 */
final class CompiledPlans {
  private static final int MOST = 16;

  /** The one that was used last comes last. */
  private final List<Remembered> used = new ArrayList<>();

  private static final class Remembered {
    private final CompiledPlan compiled;
    private @Nullable PatchPlan inverse;

    Remembered(CompiledPlan compiled) {
      this.compiled = compiled;
    }
  }

  private @Nullable Remembered look(PatchPlan plan) {
    Remembered same = look(plan, (one, other) -> one == other);
    return same == null ? look(plan, PatchPlan::equals) : same;
  }

  private @Nullable Remembered look(PatchPlan plan, BiPredicate<PatchPlan, PatchPlan> isIt) {
    for (int i = used.size() - 1; i >= 0; i--) {
      if (isIt.test(used.get(i).compiled.plan, plan)) {
        Remembered found = used.remove(i);
        used.add(found);
        return found;
      }
    }
    return null;
  }

  /** Null where it is not remembered. */
  @Nullable CompiledPlan find(PatchPlan plan) {
    Remembered found = look(plan);
    return found == null ? null : found.compiled;
  }

  void add(CompiledPlan compiled) {
    used.add(new Remembered(compiled));
    if (used.size() > MOST) {
      used.remove(0);
    }
  }

  /** As {@link PatchPlan#inverse}. */
  PatchPlan inverse(PatchPlan plan) {
    Remembered found = look(plan);
    if (found == null) {
      return plan.inverse();
    }
    PatchPlan known = found.inverse;
    if (known == null) {
      known = plan.inverse();
      found.inverse = known;
    }
    return known;
  }

  /** Forgets some, since what they were verified for has changed. */
  void forget(Predicate<PatchPlan> which) {
    used.removeIf(each -> which.test(each.compiled.plan));
  }
}
