package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
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
  private static final long LOOK_NANOS = 50_000;
  private static final long LOOK_AGAIN_NANOS = 100_000;
  private static final long LOOK_AGAIN_MOST_NANOS = 20_000_000;

  /** So many events are taken before we sleep, whatever happens. */
  private static final int EVENTS = 8;

  /** How long a thread that was asked to stop may take, before it is looked at from outside. */
  private static final long STOP_NANOS = 2_000_000;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final Tracees tracees;
  private final Evacuees evacuees;
  private final Duration patience;
  private final Registers registers = new Registers();
  private final SavedContexts contexts = new SavedContexts();

  /**
   * @param patience how long a thread that can't be moved is waited for
   */
  Evacuation(Tracer tracer, Duration patience) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.tracees = tracer.tracees;
    this.evacuees = tracer.evacuees();
    this.patience = patience;
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
    for (int i = 0; i < tracees.size(); i++) {
      tracees.clear(i, Tracees.EVACUATING | Tracees.ASKED);
    }
  }

  private boolean run(Addresses inside, LongPredicate takesTrapAt) {
    long deadline = System.nanoTime() + patience.toNanos();
    long pause = LOOK_AGAIN_NANOS;
    evacuees.begin(inside);
    for (int i = 0; i < tracees.size(); i++) {
      tracees.set(i, Tracees.EVACUATING);
    }
    while (true) {
      evacuees.look(MemoryMap.read(tracer.pid()));
      for (int i = 0; i < tracees.size(); i++) {
        if (tracees.has(i, Tracees.EVACUATING)) {
          look(inside, takesTrapAt, i);
          // Who stops does not wait until all are looked at. Whom that moves in the list, and we
          // pass over, is looked at next time.
          tracer.handlePending();
        }
      }
      awaitStops();
      tracer.checkAlive();
      if (tracees.count(Tracees.EVACUATING) == 0) {
        return true;
      }
      if (System.nanoTime() - deadline > 0) {
        return false;
      }
      if (!isAwaited()) {
        // No event tells that a handler returns, but the trap that may follow.
        LockSupport.parkNanos(pause);
        pause = Math.min(2 * pause, LOOK_AGAIN_MOST_NANOS);
      }
      tracer.handlePending();
    }
  }

  private void look(Addresses inside, LongPredicate takesTrapAt, int index) {
    int tid = tracees.tid(index);
    if (tracees.has(index, Tracees.PARKED | Tracees.HELD | Tracees.STOPPED)) {
      lookAtStopped(index);
      return;
    }
    BlockedCall where = BlockedCall.read(tid);
    if (where == null) {
      ProcStatus status = ProcStatus.read(tid);
      if (status == null || status.isDead()) {
        tracees.clear(index, Tracees.EVACUATING);
        return;
      }
    } else if (!where.running() && isOutside(inside, takesTrapAt, where.instructionPointer())) {
      evacuees.seeOutside(index, where.stackPointer());
      return;
    }
    if (!tracees.has(index, Tracees.ASKED) && ptrace.interrupt(tid) == 0) {
      tracees.set(index, Tracees.ASKED);
    }
  }

  /** Behind a breakpoint of ours it has run that, and the trap is on its way. */
  private static boolean isOutside(
      Addresses inside, LongPredicate takesTrapAt, long instructionPointer) {
    return inside.get(instructionPointer) == 0 && !takesTrapAt.test(instructionPointer - 1);
  }

  private void lookAtStopped(int index) {
    int tid = tracees.tid(index);
    boolean trapped =
        tracees.has(index, Tracees.HELD) && ptrace.signalCode(tid) == Ptrace.SI_KERNEL;
    if (!trapped) {
      evacuees.see(index);
    } else if (ptrace.getRegisters(tid, registers) == 0) {
      // It has run a breakpoint, and stands there, not behind it: it is sent on when it is
      // released.
      evacuees.seeOutside(index, registers.rsp());
    }
  }

  /** Waits until all who were asked to stop have, or have blocked instead. */
  private void awaitStops() {
    long start = System.nanoTime();
    int events = 0;
    while (isAwaited() && !tracer.isOver() && System.nanoTime() - start < STOP_NANOS) {
      int tid = events % EVENTS == EVENTS - 1 ? 0 : ptrace.await(false);
      events++;
      if (tid > 0) {
        tracer.handle(tid, ptrace.status());
      } else if (tid < 0) {
        tracer.markGone();
      } else {
        // waitpid knows no time-out. Threads that trap again and again would keep us awake, and who
        // is to stop may need this processor.
        LockSupport.parkNanos(LOOK_NANOS);
      }
    }
  }

  private boolean isAwaited() {
    for (int i = 0; i < tracees.size(); i++) {
      if (tracees.has(i, Tracees.EVACUATING) && tracees.has(i, Tracees.ASKED)) {
        return true;
      }
    }
    return false;
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
