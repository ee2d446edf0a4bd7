package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.ledger.Extent;
import java.time.Duration;
import java.util.function.Function;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Evacuates sites: afterwards no thread stands on a boundary inside, or will. See {@link
 * io.github.textpoke.plan.Step.Evacuate} for what it assumes and guarantees.
 *
 * <ol>
 *   <li>A thread that does not run is not stopped: the kernel tells where it will go on, and where
 *       its stack is.
 *   <li>One that runs is interrupted on its own, for as long as it takes to read its registers and
 *       its stack. A trap of ours that it has to report comes first.
 *   <li>One that stands inside goes on in the copy.
 *   <li>One whose stack holds the address of a boundary is waited for: a handler of a signal that
 *       has interrupted it there returns to the boundary. There stands a breakpoint, which moves
 *       it.
 * </ol>
 *
 * <p>Who is born meanwhile comes from a system call, and stands outside. A stack is read from the
 * stack pointer upwards; what a scheduler of the program's own has saved elsewhere is not found.
 */
final class Evacuation {
  private final Tracer tracer;
  private final Tracees tracees;
  private final Evacuees evacuees;
  private final Duration patience;
  private final ThreadLooks looks;
  private final SavedContexts contexts = new SavedContexts();

  /**
   * @param patience how long a thread that can't be moved is waited for
   */
  Evacuation(Tracer tracer, Duration patience) {
    this.tracer = tracer;
    this.tracees = tracer.tracees;
    this.evacuees = tracer.evacuees();
    this.patience = patience;
    this.looks = new ThreadLooks(tracer);
  }

  /**
   * Evacuates all sites of {@code plan} that its steps evacuate. Its breakpoints stand, and every
   * core sees them.
   *
   * @return null where nobody stands inside any more; else why not, given the outcome
   * @throws PatchException if the target has ended or runs another program
   */
  @Nullable Function<Outcome, PatchException> run(CompiledPlan plan) {
    try {
      return run(plan.evacuated, plan::takesTrapAt) ? lookForContexts(plan) : timeout(plan);
    } finally {
      end();
    }
  }

  /**
   * Looks at every thread once, and moves none.
   *
   * @return whether all were seen
   * @throws PatchException if the target has ended or runs another program
   */
  boolean observe(ExtentWatch watch) {
    try {
      return run(watch, address -> false);
    } finally {
      end();
    }
  }

  /**
   * Looks for what refers to memory of ours: threads, words on their stacks, and words in private
   * memory that the program may write, as pointers to functions are.
   *
   * @return null where nothing does
   * @throws PatchException if the target has ended or runs another program
   */
  @Nullable CodeReference reference(ImmutableList<Extent> extents, LongPredicate known) {
    ExtentWatch watch = new ExtentWatch(extents);
    long[] stacks;
    try {
      if (!run(watch, address -> false)) {
        return new CodeReference(0, 0);
      }
      stacks = evacuees.seenStacks();
    } finally {
      end();
    }
    for (Extent extent : extents) {
      if (!watch.unseen().contains(extent)) {
        return new CodeReference(extent.start(), 0);
      }
    }
    Addresses inside =
        address ->
            extents.stream().anyMatch(extent -> extent.contains(address)) && !known.test(address)
                ? 1
                : 0;
    long deadline = System.nanoTime() + patience.toNanos();
    return contexts.isFree(
            tracer.memory(), tracer.pid(), inside, stacks, deadline, tracer::handlePending)
        ? null
        : new CodeReference(contexts.boundary(), contexts.at());
  }

  /** No thread is inside any more; a fiber may be that no thread runs. */
  private @Nullable Function<Outcome, PatchException> lookForContexts(CompiledPlan plan) {
    long deadline = System.nanoTime() + patience.toNanos();
    if (contexts.isFree(
        tracer.memory(),
        tracer.pid(),
        plan.evacuated,
        evacuees.seenStacks(),
        deadline,
        tracer::handlePending)) {
      return null;
    }
    long site = plan.displacedSite();
    long boundary = contexts.boundary();
    long where = contexts.at();
    return outcome -> new EvacuationTimeoutException(site, boundary, where, patience, outcome);
  }

  private void end() {
    evacuees.end();
    looks.end();
  }

  private boolean run(Addresses inside, LongPredicate takesTrapAt) {
    evacuees.begin(inside, takesTrapAt);
    return looks.run(evacuees, System.nanoTime() + patience.toNanos());
  }

  /** Says of one thread what holds it: of those that the last run has left. */
  private Function<Outcome, PatchException> timeout(CompiledPlan plan) {
    int held = tracees.indexOf(evacuees.holder());
    boolean byStack = held >= 0 && tracees.has(held, Tracees.EVACUATING);
    int index = byStack ? held : 0;
    while (!tracees.has(index, Tracees.EVACUATING)) {
      index++;
    }
    int tid = tracees.tid(index);
    Straggler straggler =
        Straggler.of(
            tid,
            plan.evacuated,
            byStack ? evacuees.heldBoundary() : 0,
            byStack ? evacuees.holdingWord() : 0);
    int others = tracees.count(Tracees.EVACUATING) - 1;
    long site = plan.displacedSite();
    return outcome -> straggler.failure(site, others, patience, outcome);
  }
}
