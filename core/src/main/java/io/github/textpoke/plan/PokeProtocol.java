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
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * The protocol: how bytes that other cores are running are changed without one of them running a
 * mixture. It is that of the kernel's {@code smp_text_poke_batch_finish} (arch/x86/kernel/
 * alternative.c), and it stands here and nowhere else. Stateless and thread-safe; touches no
 * process.
 *
 * <ol>
 *   <li><b>Write the breakpoint on the first byte of every site.</b> A one-byte store can't be seen
 *       half done. Who runs into it takes the trap action.
 *   <li><b>Core sync.</b> Until it is over, a core may still fetch the old first byte. Without it,
 *       that core runs the old first byte with a new tail: measured on a Cascade Lake server, a
 *       fault after 5,016 toggles of a call at offset 62 of its line. (hpa, linux-kernel, January
 *       2010: before the serialization "you're not guaranteed the breakpoint is seen". Intel SDM
 *       3A, 9.1.3 "Handling Self- and Cross-Modifying Code".)
 *   <li><b>Write all but the first byte</b>, page by page. Nobody runs these bytes: in front of
 *       them stands the breakpoint.
 *   <li><b>Core sync</b>, if a tail was written. Without it, a core that prefetched the old tail
 *       may run it behind the new first byte. Where stores become visible to fetch in program order
 *       it is not needed (AMD APM vol. 2, 7.6.1; hpa for Intel: "we believe the synchronization in
 *       step 3 is in fact unnecessary"); nobody promises that for every x86, so it stays, as in the
 *       kernel.
 *   <li><b>Write the first byte</b> of every site that shall not keep the breakpoint. Threads that
 *       wait in a trap action run the site again.
 *   <li><b>Core sync</b>, if a first byte was written. Without it, a core may run the breakpoint
 *       after the plan's end, when nobody takes its traps: the program dies of SIGTRAP.
 * </ol>
 *
 * <p>The sites of a batch share the three syncs. Arming a breakpoint ends after the second line:
 * its new first byte is the breakpoint. Undoing that begins at the fifth: the breakpoint stands
 * already, and the tail is as it was. A tail that does not change is not written; an engine
 * compares all bytes of every site before the first step.
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
   *     the program; rule 6 if two sites share a byte; rule 19 if a poke sets or removes a
   *     breakpoint and does anything else
   */
  static PatchPlan plan(int trapByte, Iterable<Poke> pokes) {
    checkArgument(trapByte >= 0 && trapByte <= 255, "not a byte: %s", trapByte);
    ImmutableList<Poke> sorted = BY_ADDRESS.immutableSortedCopy(pokes);
    checkArgument(!sorted.isEmpty(), "a plan has at least one poke");
    for (int i = 1; i < sorted.size(); i++) {
      checkApart(sorted.get(i - 1), sorted.get(i));
    }
    List<Change> changes = new ArrayList<>();
    for (Poke poke : sorted) {
      checkBreakpoints(trapByte, poke);
      changes.add(new Change(poke.address(), poke.site().bytes(), poke.replacement()));
    }
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
    List<Write> writes =
        done.stream().filter(Write.class::isInstance).map(Write.class::cast).toList();
    if (writes.isEmpty()) {
      return ImmutableList.of();
    }
    PokeIndex index = new PokeIndex(plan.pokes());
    List<CodeBytes> now =
        new ArrayList<>(plan.pokes().stream().map(poke -> poke.site().bytes()).toList());
    for (Write write : writes) {
      int i = index.holding(write.address(), write.bytes().length());
      checkArgument(i >= 0, "a write outside of every site: %s", write);
      int at = (int) (write.address() - plan.pokes().get(i).address());
      now.set(i, now.get(i).with(at, write.bytes()));
    }
    List<Change> changes = new ArrayList<>();
    for (int i = 0; i < now.size(); i++) {
      CodeBytes old = plan.pokes().get(i).site().bytes();
      if (!now.get(i).equals(old)) {
        changes.add(new Change(plan.pokes().get(i).address(), now.get(i), old));
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
        changes.add(new Change(poke.address(), site.found(), bytes));
      }
    }
    return new Recovery(sites.build(), new Steps(plan.trapByte()).of(changes, true));
  }

  private static void checkApart(Poke first, Poke second) {
    if (Long.compareUnsigned(first.address() + first.length() - 1, second.address()) >= 0) {
      throw new PlanRefusedException(
          6,
          second.address(),
          second.site().bytes().hex(),
          first.address() == second.address()
              ? "two pokes at one address: " + first.site() + " and " + second.site()
              : "two sites overlap: " + first.site() + " and " + second.site());
    }
  }

  private static void checkBreakpoints(int trapByte, Poke poke) {
    boolean before = poke.site().bytes().at(0) == trapByte;
    boolean after = poke.replacement().at(0) == trapByte;
    if (before && after) {
      throw refused(19, poke, "old and new code both begin with the breakpoint: nothing to do");
    }
    if ((before || after) && !tail(poke.site().bytes()).equals(tail(poke.replacement()))) {
      throw refused(
          19,
          poke,
          "a poke that sets or removes a breakpoint changes the first byte only, not the tail to "
              + poke.replacement());
    }
    if (after && poke.trapAction() instanceof TrapAction.Rewind) {
      throw refused(
          19, poke, "a breakpoint that stays can't rewind: the thread would wait for ever");
    }
    if (!before && !after && poke.trapAction() instanceof TrapAction.PassOn) {
      throw refused(
          4,
          poke,
          "the breakpoint of a replacement is ours: passing it on to the program would kill it");
    }
  }

  private static PlanRefusedException refused(int rule, Poke poke, String reason) {
    return new PlanRefusedException(rule, poke.address(), poke.site().bytes().hex(), reason);
  }

  private static CodeBytes first(CodeBytes bytes) {
    return bytes.slice(0, 1);
  }

  private static CodeBytes tail(CodeBytes bytes) {
    return bytes.slice(1, bytes.length());
  }

  /** The bytes that stand at an address now, and those that shall. */
  private record Change(long address, CodeBytes now, CodeBytes goal) {
    boolean tailChanges() {
      return !tail(now).equals(tail(goal));
    }
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
      // 1. Write the breakpoint on the first byte of every site.
      List<Change> unarmed = where(changes, change -> !startsWithBreakpoint(change.now()));
      for (Change change : unarmed) {
        write(change.address(), first(change.now()), breakpoint, "breakpoint on the first byte");
      }
      // 2. Core sync. After a cut, whatever was written last may not have been synced.
      List<Change> withTail = where(changes, Change::tailChanges);
      if (!unarmed.isEmpty() || cutOff) {
        steps.add(new SyncCores("no core can miss a breakpoint"));
      }
      // 3. Write all but the first byte.
      for (Change change : withTail) {
        write(
            change.address() + 1,
            tail(change.now()),
            tail(change.goal()),
            "all but the first byte");
      }
      // 4. Core sync.
      if (!withTail.isEmpty()) {
        steps.add(new SyncCores("no core can run a stale tail"));
      }
      // 5. Write the first byte.
      List<Change> unfinished = where(changes, change -> !startsWithBreakpoint(change.goal()));
      for (Change change : unfinished) {
        write(change.address(), breakpoint, first(change.goal()), "first byte");
      }
      // 6. Core sync.
      if (!unfinished.isEmpty()) {
        steps.add(new SyncCores("no core can run a stale breakpoint"));
      }
      return steps.build();
    }

    private static List<Change> where(List<Change> changes, Predicate<Change> condition) {
      return changes.stream().filter(condition).toList();
    }

    private boolean startsWithBreakpoint(CodeBytes bytes) {
      return bytes.at(0) == breakpoint.at(0);
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
