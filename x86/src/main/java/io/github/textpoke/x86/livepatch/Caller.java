package io.github.textpoke.x86.livepatch;

import io.github.textpoke.PatchException.LivePatchFailedException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.CallOutcome;
import io.github.textpoke.apply.CallOutcome.Crashed;
import io.github.textpoke.apply.CallOutcome.Ended;
import io.github.textpoke.apply.CallOutcome.Returned;
import io.github.textpoke.apply.CallOutcome.TimedOut;
import io.github.textpoke.apply.TargetProcess;
import java.time.Duration;

/** Calls functions of a live patch that run once. */
final class Caller {
  private final TargetProcess process;
  private final Duration time;

  Caller(TargetProcess process, Duration time) {
    this.process = process;
    this.time = time;
  }

  /**
   * Calls a function without arguments.
   *
   * @param function absolute address
   * @param what it is, for the message
   * @return what it has returned
   * @throws LivePatchFailedException if it does not return
   * @throws UnsupportedTargetException if nothing can be called in the process
   */
  long call(long function, String what) {
    return call(function, 0, what);
  }

  /** As above, with one argument. */
  long call(long function, long argument, String what) {
    CallOutcome outcome;
    try {
      outcome = process.call(function, argument, 0, time);
    } catch (UnsupportedTargetException notHere) {
      throw new UnsupportedTargetException(
          what + " would have to be called: " + notHere.what(), notHere.remedy());
    }
    if (outcome instanceof Returned returned) {
      return returned.value();
    }
    String became;
    if (outcome instanceof Crashed crashed) {
      became =
          "crashed with signal %d at 0x%x, which the program has not seen"
              .formatted(crashed.signal(), crashed.address());
    } else if (outcome instanceof TimedOut timedOut) {
      became =
          "did not return within "
              + time.toMillis()
              + " ms"
              + (timedOut.ended() ? "; its thread was ended" : "; its thread is still there");
    } else if (outcome instanceof Ended) {
      became = "ended its thread";
    } else {
      throw new IllegalStateException("an outcome that is not known here: " + outcome);
    }
    throw new LivePatchFailedException(
        what + " " + became, Outcome.ROLLED_BACK, "mend it; what it held, as a lock, stays so");
  }
}
