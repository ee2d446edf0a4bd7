package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeIndex;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Evacuate;
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
 * the middle of each write included, every boundary that a thread may stand on, and per byte every
 * value that its core may still see. What it would run must be
 *
 * <ul>
 *   <li>the whole old instruction that begins there, or the whole new one, or
 *   <li>the breakpoint, while trap actions live: from before the first step until the end of the
 *       last one. A thread that waits in one runs its site again from the first byte, at any time
 *       after that byte is written, so it sees nothing that another thread does not see.
 *   <li>After the end: the new code alone, and no breakpoint but one that the plan armed.
 * </ul>
 *
 * <p>A thread stands on a site's first byte or outside of it; or inside, on a boundary of the code
 * that has several instructions (see {@link Poke}), until an {@link Evacuate} and again once that
 * code is run; also by a thread that comes over from the several instructions of another site of
 * the plan. No new instruction begins there, so it must see a whole old one, or a breakpoint that
 * redirects it. Bytes alone are compared; no decoder is asked. It is linear in the bytes of the
 * plan. Stateless and thread-safe.
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
    List<SiteView> views = new ArrayList<>();
    for (Poke poke : plan.pokes()) {
      views.add(new SiteView(plan.trapByte(), poke));
    }
    LikeViews like = new LikeViews(views);
    for (int done = 1; done <= steps.size(); done++) {
      Step step = steps.get(done - 1);
      if (step instanceof SyncCores) {
        views.forEach(SiteView::sync);
        like.changed();
      } else if (step instanceof Evacuate evacuate) {
        malformed = malformed(evacuate, index, done);
        if (malformed != null) {
          return malformed;
        }
        SiteView left = views.get(index.holding(evacuate.address(), evacuate.length()));
        left.evacuate(like.areClosed(left));
        like.evacuated();
      } else if (step instanceof Write write) {
        int i = index.holding(write.address(), write.bytes().length());
        if (i < 0) {
          return new Malformed(done, words(write) + " is not inside one site");
        }
        SiteView view = views.get(i);
        malformed = malformed(write, view.poke(), view.visible(), done);
        if (malformed != null) {
          return malformed;
        }
        view.write((int) (write.address() - view.poke().address()), write.bytes(), done);
        like.changed();
        Wrong wrong = wrongFetch(view, like);
        if (wrong != null) {
          return counterexample(wrong, done, false);
        }
      } else {
        return new Malformed(done, "a step that is not known here: " + step);
      }
    }
    return verdictAtEnd(views);
  }

  private Verdict verdictAtEnd(List<SiteView> views) {
    for (SiteView view : views) {
      Poke poke = view.poke();
      CodeBytes goal = target == Target.NEW ? poke.replacement() : poke.site().bytes();
      CodeBytes memory = view.visible().memory(0, poke.length());
      if (!memory.equals(goal)) {
        return new Malformed(
            0, "the steps end with [" + memory + "] at " + hex(poke.address()) + ", not " + goal);
      }
      Wrong wrong = wrongFetch(view, target);
      if (wrong != null) {
        return counterexample(wrong, steps.size(), true);
      }
    }
    return new Safe(model, steps.size() + 1, search.states());
  }

  /** One after a write to {@code written}: there, and in each that it may lead into. */
  private @Nullable Wrong wrongFetch(SiteView written, LikeViews like) {
    if (written.mayBeEntered()) {
      for (SiteView view : like.occupy(written)) {
        Wrong wrong = view == written ? null : wrongFetch(view, Target.NONE);
        if (wrong != null) {
          return wrong;
        }
      }
    }
    return wrongFetch(written, Target.NONE);
  }

  private @Nullable Wrong wrongFetch(SiteView view, Target mayRun) {
    for (Stand stand : view.stands()) {
      Wrong wrong = search.wrongFetch(stand, view.visible(), mayRun);
      if (wrong != null) {
        return wrong;
      }
    }
    return null;
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
      Malformed malformed = redirectInside(poke, poke.trapAction(), index);
      for (Boundary boundary : poke.interior()) {
        malformed =
            malformed == null ? redirectInside(poke, boundary.trapAction(), index) : malformed;
      }
      if (malformed != null) {
        return malformed;
      }
      if (poke.trapAction() instanceof TrapAction.Rewind
          && poke.replacement().at(0) == plan.trapByte()) {
        return new Malformed(
            0, "the breakpoint at " + hex(poke.address()) + " stays, so a rewind waits for ever");
      }
    }
    return null;
  }

  private static @Nullable Malformed redirectInside(Poke poke, TrapAction action, PokeIndex index) {
    if (action instanceof TrapAction.Redirect redirect
        && index.holding(redirect.address(), 1) >= 0) {
      return new Malformed(
          0,
          "the trap action of "
              + poke.site()
              + " redirects to "
              + hex(redirect.address())
              + ", inside a site of the plan");
    }
    return null;
  }

  private @Nullable Malformed malformed(Evacuate evacuate, PokeIndex index, int step) {
    int i = index.holding(evacuate.address(), evacuate.length());
    if (i < 0 || plan.pokes().get(i).length() != evacuate.length()) {
      return new Malformed(step, words(evacuate) + " is not of one site");
    }
    Poke poke = plan.pokes().get(i);
    for (Boundary boundary : poke.interior()) {
      long address = poke.address() + boundary.offset();
      Long copy = evacuate.mapping().get(address);
      if (copy == null) {
        return new Malformed(step, words(evacuate) + " leaves out " + hex(address));
      }
      if (!boundary.trapAction().equals(new TrapAction.Redirect(copy))) {
        return new Malformed(
            step,
            words(evacuate)
                + " moves from "
                + hex(address)
                + " to "
                + hex(copy)
                + ", and the breakpoint there does not");
      }
    }
    return evacuate.mapping().size() == poke.interior().size()
        ? null
        : new Malformed(step, words(evacuate) + " moves threads that can't stand there");
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

  private Counterexample counterexample(Wrong wrong, int step, boolean atEnd) {
    Stand stand = wrong.stand();
    ImmutableList.Builder<SeenByte> seen = ImmutableList.builder();
    for (int i = 0; i < wrong.seen().size(); i++) {
      Sighting sighting = wrong.seen().get(i);
      seen.add(new SeenByte(sighting.value(), sighting.step(), kind(stand, i, sighting)));
    }
    return new Counterexample(
        model,
        step,
        steps.size(),
        step == 0 ? "" : words(steps.get(step - 1)),
        atEnd,
        stand.poke(),
        stand.offset(),
        seen.build(),
        wrong.problem());
  }

  /** What the {@code i}th byte is that a thread at {@code stand} sees. */
  private String kind(Stand stand, int i, Sighting sighting) {
    int offset = stand.offset() + i;
    boolean old = sighting.value() == stand.poke().site().bytes().at(offset);
    boolean fresh = sighting.value() == stand.poke().replacement().at(offset);
    boolean breakpoint = sighting.value() == plan.trapByte();
    if (breakpoint && (i == 0 || !(old || fresh))) {
      return "breakpoint";
    }
    return old && fresh ? "same" : old ? "old" : fresh ? "new" : "foreign";
  }

  private static String words(Step step) {
    if (step instanceof Write write) {
      return "write " + write.bytes() + " at " + hex(write.address()) + ": " + write.why();
    }
    if (step instanceof Evacuate evacuate) {
      return "evacuate " + hex(evacuate.address()) + ": " + evacuate.why();
    }
    return "core sync: " + step.why();
  }

  private static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }
}
