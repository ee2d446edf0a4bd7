package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableRangeMap;
import com.google.common.collect.Range;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.CodeInUseException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.apply.StackObjects;
import io.github.textpoke.apply.SwitchReport;
import io.github.textpoke.apply.SwitchReport.Blocker;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.apply.ThreadStacks;
import io.github.textpoke.apply.TurnSwitch;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.unwind.OwnCode;
import io.github.textpoke.unwind.StackTrace;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;

/**
 * Tries to change a turn until it is done or the time is over. Between two tries the program runs
 * as before: threads wait for a small part of the time only.
 */
final class Transition {
  /**
   * How long threads may wait in the first try: some of them have to come to run, one after the
   * other. More in each further one, where that was too short.
   */
  private static final long FIRST_HOLD_NANOS = 2_000_000;

  private static final long MORE_HOLD_NANOS = 1_000_000;
  private static final long LONGEST_HOLD_NANOS = 10_000_000;

  private static final long FIRST_PAUSE_NANOS = 10_000_000;
  private static final long LONGEST_PAUSE_NANOS = 100_000_000;

  /** Of a stack, in a message. */
  private static final int MOST_FRAMES = 30;

  private final TargetProcess process;
  private final PatchCode code;
  private final StackObjects objects;
  private final Duration patience;
  private final TransitionListener listener;

  Transition(LivePatches patches, TransitionListener listener) {
    this.process = patches.process();
    this.code = PatchCode.of(patches);
    this.objects = patches.stackObjects();
    this.patience = patches.options().patience();
    this.listener = listener;
  }

  /**
   * Changes the turn when no thread is in what is left.
   *
   * @param name of the patch
   * @throws CodeInUseException if there was no such moment in time; the turn is as before
   */
  void run(TurnSwitch what, String name) {
    long deadline = System.nanoTime() + patience.toNanos();
    long pause = FIRST_PAUSE_NANOS;
    long hold = FIRST_HOLD_NANOS;
    ThreadStacks stacks = process.stacks(ownCode(what), code, objects);
    for (int tries = 1; ; tries++) {
      SwitchReport report = process.change(what.holding(Duration.ofNanos(hold)), stacks);
      if (report.isDone()) {
        return;
      }
      ImmutableList<String> blockers = describe(report);
      if (System.nanoTime() - deadline > 0) {
        throw new CodeInUseException(
            "code that '" + name + "' leaves",
            describeWithStacks(report),
            patience,
            Outcome.ROLLED_BACK);
      }
      listener.blocked(tries, blockers);
      if (report.heldNanos() > 0) {
        hold = Math.min(hold + MORE_HOLD_NANOS, LONGEST_HOLD_NANOS);
      }
      // No event tells that a thread returns.
      LockSupport.parkNanos(Math.min(pause, deadline - System.nanoTime()));
      pause = Math.min(2 * pause, LONGEST_PAUSE_NANOS);
    }
  }

  /** How the caller of a thread that waits in a gate is found. */
  private static OwnCode ownCode(TurnSwitch what) {
    ImmutableRangeMap.Builder<Long, OwnCode.Stand> waiting = ImmutableRangeMap.builder();
    for (TurnSwitch.Gate gate : what.gates()) {
      waiting.put(
          Range.closedOpen(gate.waiting().start(), gate.waiting().end()),
          new OwnCode.AtDepth(gate.depth()));
    }
    ImmutableRangeMap<Long, OwnCode.Stand> stands = waiting.build();
    return (pc, isReturnAddress) -> Optional.ofNullable(stands.get(pc));
  }

  static Duration hold() {
    return Duration.ofNanos(FIRST_HOLD_NANOS);
  }

  private ImmutableList<String> describe(SwitchReport report) {
    SiteResolver resolver = process.resolver();
    return report.blockers().stream()
        .map(blocker -> describe(resolver, blocker))
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /** As {@link #describe(SwitchReport)}, with the functions that each thread is in. */
  private ImmutableList<String> describeWithStacks(SwitchReport report) {
    SiteResolver resolver = process.resolver();
    return report.blockers().stream()
        .map(
            blocker ->
                describe(resolver, blocker)
                    + blocker.trace().map(trace -> describe(resolver, trace)).orElse(""))
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /** The innermost function first. */
  private String describe(SiteResolver resolver, StackTrace trace) {
    String frames =
        trace.frames().stream()
            .limit(MOST_FRAMES)
            .map(frame -> name(resolver, frame.codeAddress()))
            .collect(Collectors.joining(", called by ", " [", ""));
    return frames
        + (trace.isComplete() && trace.frames().size() <= MOST_FRAMES ? "]" : ", and so on]");
  }

  private String describe(SiteResolver resolver, Blocker blocker) {
    return "thread %d (%s), %s, %s %s"
        .formatted(
            blocker.thread(),
            blocker.name(),
            blocker.state(),
            blocker.returns() ? "which returns to" : "in",
            name(resolver, blocker.code())
                + (blocker.doubt().isEmpty() ? "" : " (or seems to: " + blocker.doubt() + ")"));
  }

  private String name(SiteResolver resolver, long address) {
    try {
      return code.describe(address)
          .or(() -> resolver.describe(address))
          .orElse("0x" + Long.toHexString(address));
    } catch (PatchException unnamed) {
      return "0x" + Long.toHexString(address);
    }
  }
}
