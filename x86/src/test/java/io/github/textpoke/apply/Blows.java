package io.github.textpoke.apply;

import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;

/**
 * Blows at a patcher, half of them at random moments, half as soon as a site is seen to change.
 * Counts them.
 */
final class Blows {
  private static final long LONGEST_PAUSE_NANOS = 20_000_000;
  private static final Duration LONGEST_LOOK = Duration.ofSeconds(1);

  private final SplittableRandom random;
  private int dealt;
  private int inWindow;

  Blows(long seed) {
    random = new SplittableRandom(seed);
  }

  int dealt() {
    return dealt;
  }

  /** Waits for a moment, deals the blow, and looks at the sites just before and just after. */
  void deal(PatchedWorkers target, Runnable blow) {
    // A thread of its own: the JVMs that this one starts would inherit its scheduling.
    boolean hit =
        CompletableFuture.supplyAsync(
                () -> strike(target, blow), task -> new Thread(task, "blow").start())
            .join();
    inWindow += hit ? 1 : 0;
    dealt++;
  }

  private boolean strike(PatchedWorkers target, Runnable blow) {
    // So that it interrupts a tracer with real-time scheduling: else it would mostly be woken when
    // that rests.
    Kernel.setFifo(0, new NativeBytes(Integer.BYTES));
    boolean hit = awaitMoment(target);
    blow.run();
    return hit || target.isInWindow();
  }

  /** Returns whether a site was changing when it was looked at last. */
  private boolean awaitMoment(PatchedWorkers target) {
    if (dealt % 2 == 0) {
      LockSupport.parkNanos(random.nextLong(LONGEST_PAUSE_NANOS));
      return target.isInWindow();
    }
    long end = System.nanoTime() + LONGEST_LOOK.toNanos();
    // No event tells that a change begins, and it is over in microseconds.
    while (System.nanoTime() - end < 0) {
      if (target.isInWindow()) {
        return true;
      }
      Thread.onSpinWait();
    }
    return false;
  }

  @Override
  public String toString() {
    return dealt + " times, " + inWindow + " of them while a site changed";
  }
}
