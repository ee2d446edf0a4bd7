package io.github.textpoke.apply;

import java.time.Duration;

/**
 * How to attach. Immutable.
 *
 * @param linger how long threads stay traced after the last command, so that a series of pokes need
 *     not seize them again; then they are released, and an idle {@link TargetProcess} costs the
 *     target nothing
 * @param patience how long to wait for a thread that may be borrowed, for another tracer, which may
 *     be a patcher, to let go, and for a thread that can't be moved out of code that is displaced
 * @param realtime whether the tracer and the helper ask for real-time scheduling while a patch is
 *     under way, so that threads which wait at a breakpoint do not wait for the scheduler; without
 *     the right (CAP_SYS_NICE) it is not asked again
 * @param lease how long the helper stays in the target, asleep, without a word from this JVM: it
 *     makes the next command quick, and bounds what a JVM that was killed leaves behind
 * @param engine who carries plans out
 */
public record AttachOptions(
    Duration linger, Duration patience, boolean realtime, Duration lease, EngineChoice engine) {

  /** Who carries plans out. */
  public enum EngineChoice {
    /** The poker where it can be had, else stepwise; {@link ApplyReport} says which, and why. */
    AUTOMATIC,
    /** A process of ours inside the target: needs this JVM no more once it has a plan. */
    POKER,
    /** This JVM, step by step: if it dies in the middle, its breakpoints stay. */
    STEPWISE
  }

  /** Lingers 5 ms, waits 2 s for a thread, asks for real-time scheduling, stays 1 s. */
  public static final AttachOptions DEFAULT =
      new AttachOptions(
          Duration.ofMillis(5),
          Duration.ofSeconds(2),
          true,
          Duration.ofSeconds(1),
          EngineChoice.AUTOMATIC);

  /** As this, with another time to linger. */
  public AttachOptions withLinger(Duration value) {
    return new AttachOptions(value, patience, realtime, lease, engine);
  }

  /** As this, with another patience. */
  public AttachOptions withPatience(Duration value) {
    return new AttachOptions(linger, value, realtime, lease, engine);
  }

  /** As this, with or without real-time scheduling. */
  public AttachOptions withRealtime(boolean value) {
    return new AttachOptions(linger, patience, value, lease, engine);
  }

  /** As this, with another lease. */
  public AttachOptions withLease(Duration value) {
    return new AttachOptions(linger, patience, realtime, value, engine);
  }

  /** As this, with another engine. */
  public AttachOptions withEngine(EngineChoice value) {
    return new AttachOptions(linger, patience, realtime, lease, value);
  }
}
