package io.github.textpoke.plan;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkPositionIndex;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Ordering;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.plan.Recovery.Goal;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * The protocol: how bytes that other cores are running are changed without one of them running a
 * mixture. It is that of the kernel's {@code smp_text_poke_batch_finish} (arch/x86/kernel/
 * alternative.c), and, where several instructions are displaced, of its optimised probes
 * (kprobes/opt.c); it stands here and nowhere else. Stateless and thread-safe; touches no process.
 *
 * <ol>
 *   <li><b>Write the breakpoint on the first byte of every site</b>, then, where several
 *       instructions are displaced, on that of each of the others: on every boundary on which a
 *       thread may stand. A one-byte store can't be seen half done. Who runs into it takes the trap
 *       action: inside of a site that is to go on in the out-of-line copy, at once.
 *   <li><b>Core sync.</b> Until it is over, a core may still fetch the old first byte. Without it,
 *       that core runs the old first byte with a new tail: measured on a Cascade Lake server, a
 *       fault after 5,016 toggles of a call at offset 62 of its line. (hpa, linux-kernel, January
 *       2010: before the serialization "you're not guaranteed the breakpoint is seen". Intel SDM
 *       3A, 9.1.3 "Handling Self- and Cross-Modifying Code".)
 *   <li><b>Evacuate</b> every site whose instructions are displaced. A thread that was preempted
 *       inside has run no breakpoint, and does not come back to the first byte: without this it
 *       runs the middle of the new instruction when it goes on. (The kernel waits for such tasks,
 *       {@code synchronize_rcu_tasks} in kernel/kprobes.c, {@code kprobe_optimizer}.)
 *   <li><b>Write all but the first byte</b>, page by page. Nobody runs these bytes: in front of
 *       them stands the breakpoint, and nobody stands among them.
 *   <li><b>Core sync</b>, if a tail was written. Without it, a core that prefetched the old tail
 *       may run it behind the new first byte. Where stores become visible to fetch in program order
 *       it is not needed (AMD APM vol. 2, 7.6.1; hpa for Intel: "we believe the synchronization in
 *       step 3 is in fact unnecessary"); nobody promises that for every x86, so it stays, as in the
 *       kernel.
 *   <li><b>Write the first byte</b> of every site that shall not keep the breakpoint; before it, on
 *       the way back, those of the instructions inside that have lost nothing else. Threads that
 *       wait in a trap action run the site again.
 *   <li><b>Core sync</b>, if a first byte was written. Without it, a core may run the breakpoint
 *       after the plan's end, when nobody takes its traps: the program dies of SIGTRAP.
 * </ol>
 *
 * <p>The sites of a batch share the three syncs, whatever their kind. Arming a breakpoint ends
 * after the second line: its new first byte is the breakpoint. Undoing that begins at the sixth:
 * the breakpoint stands already, and the tail is as it was. A tail that does not change is not
 * written; an engine compares all bytes of every site before the first step.
 *
 * <p><b>One for several.</b> Putting several instructions back in place of one is one for one: no
 * thread stands inside of one instruction, so there is one breakpoint, and no evacuation. Who comes
 * inside afterwards came over the new first byte, which is written last, behind a synced tail.
 *
 * <p><b>Companions.</b> The several instructions of one site of a batch may lead inside of another:
 * a function that begins with a few instructions and goes on behind the first one of its neighbour.
 * So threads may stand inside of all such sites from the moment when one of them is entered, until
 * all are evacuated: their breakpoints stand before the first is evacuated, and on the way back all
 * tails are whole before the first byte of one is written.
 *
 * <p><b>The way back</b> is the same list, from what stands at the site to what shall, and there is
 * one question: may a thread stand inside?
 *
 * <ul>
 *   <li><i>Yes, and the code that it stands in shall come back</i>: a displacing plan that was not
 *       evacuated yet. Then no byte differs from that code but the breakpoints, since the tail is
 *       written after the evacuation. Each is the first byte of its own instruction and no part of
 *       another's, so a thread there runs the breakpoint or the whole old instruction, whichever of
 *       them are gone: they may go in any order, by stores of one byte, without an evacuation. The
 *       site's first byte goes last, which tells a reader of the bytes that it is not whole yet.
 *   <li><i>No</i>: a displacing plan that was evacuated, or a restoring one whose new first byte is
 *       not written yet. Nobody can come in: the breakpoint on the first byte is synced, no jump
 *       leads inside (a planner's rule), and the copy goes on behind the site. So the tail is
 *       written as it is, with no breakpoints inside of it; none could be hit.
 *   <li><i>Yes, and the one instruction shall come back</i>: a restoring plan whose new first byte
 *       stands. Threads run the several instructions already: it is a displacement, all seven
 *       lines.
 * </ul>
 *
 * <p>The answer changes at two points: to no when an evacuation is complete, to yes when the first
 * byte of the several instructions is written. The bytes alone do not tell it, so {@link #recovery}
 * takes a yes wherever the one instruction is its goal and does not stand whole. An evacuation too
 * many harms nobody. A breakpoint inside too many might: it may stand in the middle of the one
 * instruction, whose first byte a core may still see where the breakpoint on it was found and not
 * written here. So such a site gets a core sync more, before its breakpoints inside.
 */
public final class PokeProtocol {
  /** log2 of a page's bytes. No write crosses a page: each has a protection of its own. */
  public static final int PAGE_BITS = 12;

  private static final int PAGE_SIZE = 1 << PAGE_BITS;

  private static final Ordering<Poke> BY_ADDRESS =
      Ordering.from((a, b) -> Long.compareUnsigned(a.address(), b.address()));

  private PokeProtocol() {}

  /**
   * The plan that does {@code pokes}.
   *
   * @param trapByte the one-byte breakpoint instruction, 0 to 255
   * @param pokes in any order
   * @throws IllegalArgumentException if there is no poke, or {@code trapByte} is no byte
   * @throws PlanRefusedException rule 4 if the breakpoint of a replacement would be passed on to
   *     the program, or a thread inside of a site has no copy to go on in; rule 6 if two sites
   *     share a byte; rule 19 if a poke sets or removes a breakpoint and does anything else, or
   *     displaces one
   */
  static PatchPlan plan(int trapByte, Iterable<Poke> pokes) {
    checkArgument(trapByte >= 0 && trapByte <= 255, "not a byte: %s", trapByte);
    ImmutableList<Poke> sorted = BY_ADDRESS.immutableSortedCopy(pokes);
    checkArgument(!sorted.isEmpty(), "a plan has at least one poke");
    PokeRules.check(trapByte, sorted);
    List<Change> changes =
        sorted.stream().map(poke -> SiteNow.before(poke).to(poke.replacement())).toList();
    return new PatchPlan(trapByte, sorted, new Steps(trapByte).of(changes, false));
  }

  /**
   * The steps that bring the old bytes back after a plan was cut off between two steps: by the same
   * protocol, safe at every point, their {@code expected} bytes exact. Trap actions must live on
   * until their end. They end with a core sync, unless nothing was done. A rollback that was cut
   * off itself is rolled back in the same way: as a plan whose steps are those of both.
   *
   * @param plan made by {@link PatchPlan#of}; or its first steps, followed by those of a rollback
   * @param stepsDone how many of its steps are complete; the next one was not begun
   */
  public static ImmutableList<Step> rollback(PatchPlan plan, int stepsDone) {
    return rollback(plan, plan.steps().subList(0, stepsDone));
  }

  /**
   * As {@link #rollback(PatchPlan, int)}, where the write after the last complete step was cut off
   * in the middle: a short write, or a patcher that died. What it left is read from the target, not
   * guessed.
   *
   * @param stepsDone how many steps are complete; the next one is a write
   * @param found what stands where that write writes: each byte either as before or as after it
   * @throws CodeChangedException if a byte is neither: somebody else wrote there, and there is no
   *     safe way back
   */
  public static ImmutableList<Step> rollback(PatchPlan plan, int stepsDone, CodeBytes found) {
    checkPositionIndex(stepsDone, plan.steps().size() - 1);
    checkArgument(
        plan.steps().get(stepsDone) instanceof Write, "step %s is no write", stepsDone + 1);
    Write cut = (Write) plan.steps().get(stepsDone);
    checkArgument(found.length() == cut.bytes().length(), "found %s bytes", found.length());
    for (int i = 0; i < found.length(); i++) {
      if (found.at(i) != cut.expected().at(i) && found.at(i) != cut.bytes().at(i)) {
        throw new CodeChangedException(cut.address(), cut.expected(), found, Outcome.UNKNOWN);
      }
    }
    return rollback(
        plan,
        ImmutableList.<Step>builder()
            .addAll(plan.steps().subList(0, stepsDone))
            .add(new Write(cut.address(), cut.expected(), found, cut.why()))
            .build());
  }

  private static ImmutableList<Step> rollback(PatchPlan plan, List<Step> done) {
    if (done.stream().noneMatch(Write.class::isInstance)) {
      return ImmutableList.of();
    }
    List<SiteNow> now = new ArrayList<>(plan.pokes().stream().map(SiteNow::before).toList());
    PokeIndex index = new PokeIndex(plan.pokes());
    // Whether all sites of a kind are entered already: there may be thousands of them.
    boolean displacingEntered = true;
    boolean restoringEntered = false;
    for (Step step : done) {
      if (step instanceof Write write) {
        int i = index.holding(write.address(), write.bytes().length());
        checkArgument(i >= 0, "a write outside of every site: %s", write);
        SiteNow written = now.get(i).after(write);
        now.set(i, written);
        boolean isKnown = written.poke().displaces() ? displacingEntered : restoringEntered;
        if (written.isEntered() && !isKnown) {
          now.replaceAll(site -> site.enteredFrom(written.poke()));
          displacingEntered |= written.poke().displaces();
          restoringEntered |= written.poke().restores();
        }
      } else if (step instanceof Evacuate evacuate) {
        int i = index.holding(evacuate.address(), evacuate.length());
        checkArgument(i >= 0, "an evacuation of no site: %s", evacuate);
        now.set(i, now.get(i).evacuated());
        displacingEntered = false;
        restoringEntered = false;
      } else if (!(step instanceof SyncCores)) {
        throw new IllegalStateException("a step that is not known here: " + step);
      }
    }
    List<Change> changes = new ArrayList<>();
    for (SiteNow site : now) {
      CodeBytes old = site.poke().site().bytes();
      if (!site.bytes().equals(old)) {
        changes.add(site.to(old));
      }
    }
    return new Steps(plan.trapByte()).of(changes, true);
  }

  /**
   * The steps that finish a plan or take it back, given nothing but the bytes that stand at its
   * sites: for a plan whose patcher died. It may have been cut off anywhere: between two steps, in
   * the middle of a write, in a rollback, in its inverse, in a recovery. The steps are safe at
   * every point, by the same protocol, and their {@code expected} bytes are exact. A site whose
   * bytes no cut-off explains is not written. Trap actions must live on until their end.
   *
   * <p>They hold a core sync before the first byte behind a breakpoint, and one at their end, even
   * where no byte is left to write: whatever was written last may not have been synced.
   *
   * @param plan made by {@link PatchPlan#of}
   * @param found for each poke, in order, the bytes that stand at its site; fewer where the rest
   *     can't be read
   * @param goal which bytes shall stand at the end
   * @throws IllegalArgumentException if there are not as many {@code found} as pokes
   */
  public static Recovery recovery(PatchPlan plan, List<CodeBytes> found, Goal goal) {
    checkArgument(
        found.size() == plan.pokes().size(),
        "%s sites, and the bytes of %s",
        plan.pokes().size(),
        found.size());
    ImmutableList.Builder<FoundSite> sites = ImmutableList.builder();
    List<Change> changes = new ArrayList<>();
    for (int i = 0; i < found.size(); i++) {
      Poke poke = plan.pokes().get(i);
      FoundSite site = FoundSite.of(plan.trapByte(), poke, found.get(i));
      sites.add(site);
      CodeBytes bytes = goal == Goal.NEW ? poke.replacement() : poke.site().bytes();
      if (site.state() != FoundSite.State.FOREIGN && !site.found().equals(bytes)) {
        changes.add(SiteNow.found(poke, site.found()).to(bytes));
      }
    }
    return new Recovery(sites.build(), new Steps(plan.trapByte()).of(changes, true));
  }

  private static CodeBytes first(CodeBytes bytes) {
    return bytes.slice(0, 1);
  }

  private static CodeBytes tail(CodeBytes bytes) {
    return bytes.slice(1, bytes.length());
  }

  /** The list above, as code. */
  private static final class Steps {
    private final CodeBytes breakpoint;
    private final ImmutableList.Builder<Step> steps = ImmutableList.builder();

    Steps(int trapByte) {
      breakpoint = CodeBytes.of(trapByte);
    }

    /**
     * @param cutOff whether something was written before these steps that may not be synced
     */
    ImmutableList<Step> of(List<Change> changes, boolean cutOff) {
      // 1. Write the breakpoint on the first byte of every site, then on the other boundaries.
      List<Change> unarmed =
          where(changes, change -> !change.armed(breakpoint).equals(change.now()));
      for (Change change : unarmed) {
        write(change.address(), first(change.now()), breakpoint, "breakpoint on the first byte");
      }
      List<Change> unarmedInside = where(unarmed, Change::evacuates);
      if (unarmedInside.stream().anyMatch(change -> first(change.now()).equals(breakpoint))) {
        steps.add(new SyncCores("no core can run the one instruction any more"));
      }
      for (Change change : unarmedInside) {
        for (int offset : change.interior()) {
          writeByte(change, offset, breakpoint, "breakpoint on a boundary inside");
        }
      }
      // 2. Core sync. After a cut, whatever was written last may not have been synced.
      if (!unarmed.isEmpty() || cutOff) {
        steps.add(new SyncCores("no core can miss a breakpoint"));
      }
      // 3. Evacuate.
      where(changes, Change::evacuates).forEach(this::evacuate);
      // 4. Write all but the first byte.
      List<Change> withTail = where(changes, change -> change.tailChanges(breakpoint));
      for (Change change : withTail) {
        write(
            change.address() + 1,
            tail(change.armed(breakpoint)),
            tail(change.goal()),
            "all but the first byte");
      }
      // 5. Core sync.
      if (!withTail.isEmpty()) {
        steps.add(new SyncCores("no core can run a stale tail"));
      }
      // 6. Write the first byte, before it those of the instructions inside.
      List<Change> unfinished = where(changes, change -> !first(change.goal()).equals(breakpoint));
      for (Change change : unfinished) {
        if (change.isWholeButForBreakpoints(breakpoint)) {
          for (int offset : change.interior()) {
            writeByte(change, offset, change.goal().slice(offset, offset + 1), "first byte inside");
          }
        }
        write(change.address(), breakpoint, first(change.goal()), "first byte");
      }
      // 7. Core sync.
      if (!unfinished.isEmpty()) {
        steps.add(new SyncCores("no core can run a stale breakpoint"));
      }
      return steps.build();
    }

    private static List<Change> where(List<Change> changes, Predicate<Change> condition) {
      return changes.stream().filter(condition).toList();
    }

    private void writeByte(Change change, int offset, CodeBytes fresh, String why) {
      write(change.address() + offset, change.now().slice(offset, offset + 1), fresh, why);
    }

    private void evacuate(Change change) {
      steps.add(
          new Evacuate(
              change.address(),
              change.poke().length(),
              change.mapping(),
              "no thread can stand inside"));
    }

    /** Writes {@code bytes} over {@code before}, page by page; pages without a change are left. */
    private void write(long address, CodeBytes before, CodeBytes bytes, String why) {
      int from = 0;
      while (from < bytes.length()) {
        int leftInPage = PAGE_SIZE - (int) (address + from & PAGE_SIZE - 1);
        int to = Math.min(bytes.length(), from + leftInPage);
        CodeBytes expected = before.slice(from, to);
        CodeBytes part = bytes.slice(from, to);
        if (!part.equals(expected)) {
          steps.add(new Write(address + from, expected, part, why));
        }
        from = to;
      }
    }
  }
}
