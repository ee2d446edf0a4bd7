package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeIndex;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.verify.SiteSearch.Target;
import io.github.textpoke.verify.SiteSearch.Wrong;
import io.github.textpoke.verify.Verdict.Counterexample;
import io.github.textpoke.verify.Verdict.Malformed;
import io.github.textpoke.verify.Verdict.Safe;
import io.github.textpoke.verify.Verdict.SeenByte;
import io.github.textpoke.verify.VisibleBytes.Sighting;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Explores every interleaving of a plan with threads that run the code: every prefix of the steps,
 * the middle of each write included, every site that a thread may stand on, and per byte every
 * value that its core may still see. What it would run must be
 *
 * <ul>
 *   <li>the whole old instruction or the whole new one, or
 *   <li>the breakpoint, while trap actions live: from before the first step until the end of the
 *       last one. A thread that waits in one runs its site again from the first byte, at any time
 *       after that byte is written, so it sees nothing that another thread does not see.
 *   <li>After the end: the new code alone, and no breakpoint but one that the plan armed.
 * </ul>
 *
 * <p>A thread stands on a site's first byte or outside of it: see {@link Poke}. Bytes alone are
 * compared; no decoder is asked. It is linear in the bytes of the plan. Stateless and thread-safe.
 */
public final class Verifier {
  private final PatchPlan plan;
  private final ImmutableList<Step> steps;
  private final Target target;
  private final MemoryModel model;
  private final SiteSearch search;

  private Verifier(PatchPlan plan, ImmutableList<Step> steps, Target target, MemoryModel model) {
    this.plan = plan;
    this.steps = steps;
    this.target = target;
    this.model = model;
    this.search = new SiteSearch(plan.trapByte(), model);
  }

  /** Checks a plan against {@link MemoryModel#CONSERVATIVE}. Never throws for a bad plan. */
  public static Verdict check(PatchPlan plan) {
    return check(plan, MemoryModel.CONSERVATIVE);
  }

  /** Checks a plan against {@code model}. Never throws for a bad plan. */
  public static Verdict check(PatchPlan plan, MemoryModel model) {
    return check(plan, plan.steps(), Target.NEW, model);
  }

  /**
   * Checks a plan that is cut off after {@code stepsDone} complete steps and taken back by {@link
   * PokeProtocol#rollback(PatchPlan, int)}: safe all the way, and the old code alone stands at the
   * end.
   */
  public static Verdict checkRollback(PatchPlan plan, int stepsDone, MemoryModel model) {
    ImmutableList<Step> steps =
        ImmutableList.<Step>builder()
            .addAll(plan.steps().subList(0, stepsDone))
            .addAll(PokeProtocol.rollback(plan, stepsDone))
            .build();
    return check(plan, steps, Target.OLD, model);
  }

  /** As {@link #checkRollback}, cut off in the middle of a write, which left {@code found}. */
  public static Verdict checkRollback(
      PatchPlan plan, int stepsDone, CodeBytes found, MemoryModel model) {
    ImmutableList<Step> rollback = PokeProtocol.rollback(plan, stepsDone, found);
    Write cut = (Write) plan.steps().get(stepsDone);
    ImmutableList<Step> steps =
        ImmutableList.<Step>builder()
            .addAll(plan.steps().subList(0, stepsDone))
            .add(new Write(cut.address(), cut.expected(), found, cut.why()))
            .addAll(rollback)
            .build();
    return check(plan, steps, Target.OLD, model);
  }

  /** Checks {@code steps} in place of the plan's own. */
  static Verdict check(
      PatchPlan plan, ImmutableList<Step> steps, Target target, MemoryModel model) {
    return new Verifier(plan, steps, target, model).verdict();
  }

  private Verdict verdict() {
    Malformed malformed = malformedPokes();
    if (malformed != null) {
      return malformed;
    }
    PokeIndex index = new PokeIndex(plan.pokes());
    List<VisibleBytes> visible = new ArrayList<>();
    for (Poke poke : plan.pokes()) {
      visible.add(new VisibleBytes(poke.site().bytes()));
    }
    for (int done = 1; done <= steps.size(); done++) {
      Step step = steps.get(done - 1);
      if (step instanceof SyncCores) {
        visible.forEach(VisibleBytes::sync);
      } else if (step instanceof Write write) {
        int i = index.holding(write.address(), write.bytes().length());
        if (i < 0) {
          return new Malformed(done, words(write) + " is not inside one site");
        }
        Poke poke = plan.pokes().get(i);
        malformed = malformed(write, poke, visible.get(i), done);
        if (malformed != null) {
          return malformed;
        }
        visible.get(i).write((int) (write.address() - poke.address()), write.bytes(), done);
        Wrong wrong = search.wrongFetch(poke, visible.get(i), Target.NONE);
        if (wrong != null) {
          return counterexample(poke, wrong, done, false);
        }
      } else {
        return new Malformed(done, "a step that is not known here: " + step);
      }
    }
    return verdictAtEnd(visible);
  }

  private Verdict verdictAtEnd(List<VisibleBytes> visible) {
    for (int i = 0; i < visible.size(); i++) {
      Poke poke = plan.pokes().get(i);
      CodeBytes goal = target == Target.NEW ? poke.replacement() : poke.site().bytes();
      CodeBytes memory = visible.get(i).memory(0, poke.length());
      if (!memory.equals(goal)) {
        return new Malformed(
            0, "the steps end with [" + memory + "] at " + hex(poke.address()) + ", not " + goal);
      }
      Wrong wrong = search.wrongFetch(poke, visible.get(i), target);
      if (wrong != null) {
        return counterexample(poke, wrong, steps.size(), true);
      }
    }
    return new Safe(model, steps.size() + 1, search.states());
  }

  private @Nullable Malformed malformedPokes() {
    if (plan.pokes().isEmpty()) {
      return new Malformed(0, "a plan without pokes");
    }
    Poke before = null;
    PokeIndex index = new PokeIndex(plan.pokes());
    for (Poke poke : plan.pokes()) {
      if (before != null
          && Long.compareUnsigned(before.address() + before.length() - 1, poke.address()) >= 0) {
        return new Malformed(
            0, "sites are not sorted or overlap: " + before.site() + " and " + poke.site());
      }
      before = poke;
    }
    for (Poke poke : plan.pokes()) {
      if (poke.trapAction() instanceof TrapAction.Redirect redirect
          && index.holding(redirect.address(), 1) >= 0) {
        return new Malformed(
            0,
            "the trap action of "
                + poke.site()
                + " redirects to "
                + hex(redirect.address())
                + ", inside a site of the plan");
      }
      if (poke.trapAction() instanceof TrapAction.Rewind
          && poke.replacement().at(0) == plan.trapByte()) {
        return new Malformed(
            0, "the breakpoint at " + hex(poke.address()) + " stays, so a rewind waits for ever");
      }
    }
    return null;
  }

  private static @Nullable Malformed malformed(
      Write write, Poke poke, VisibleBytes visible, int step) {
    int at = (int) (write.address() - poke.address());
    int length = write.bytes().length();
    CodeBytes memory = visible.memory(at, at + length);
    if (!memory.equals(write.expected())) {
      return new Malformed(
          step, words(write) + " expects [" + write.expected() + "] where [" + memory + "] stands");
    }
    if ((write.address() ^ write.address() + length - 1) >>> PokeProtocol.PAGE_BITS != 0) {
      return new Malformed(step, words(write) + " crosses a page");
    }
    return null;
  }

  private Counterexample counterexample(Poke poke, Wrong wrong, int step, boolean atEnd) {
    ImmutableList.Builder<SeenByte> seen = ImmutableList.builder();
    for (int i = 0; i < wrong.seen().size(); i++) {
      Sighting sighting = wrong.seen().get(i);
      seen.add(new SeenByte(sighting.value(), sighting.step(), kind(poke, i, sighting)));
    }
    return new Counterexample(
        model,
        step,
        steps.size(),
        step == 0 ? "" : words(steps.get(step - 1)),
        atEnd,
        poke,
        seen.build(),
        wrong.problem());
  }

  private String kind(Poke poke, int offset, Sighting sighting) {
    boolean old = sighting.value() == poke.site().bytes().at(offset);
    boolean fresh = sighting.value() == poke.replacement().at(offset);
    if (offset == 0 && sighting.value() == plan.trapByte()) {
      return "breakpoint";
    }
    return old && fresh ? "same" : old ? "old" : fresh ? "new" : "foreign";
  }

  private static String words(Step step) {
    if (step instanceof Write write) {
      return "write " + write.bytes() + " at " + hex(write.address()) + ": " + write.why();
    }
    return "core sync: " + step.why();
  }

  private static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }
}
