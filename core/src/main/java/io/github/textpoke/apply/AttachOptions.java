package io.github.textpoke.apply;

import java.time.Duration;

/**
 * How to attach. Immutable.
 *
 * @param linger how long threads stay traced after the last command, so that a series of pokes need
 *     not seize them again; then they are released, and an idle {@link TargetProcess} costs the
 *     target nothing
 * @param patience how long to wait for a thread that may be borrowed
 * @param realtime whether the tracer and the helper ask for real-time scheduling while a patch is
 *     under way, so that threads which wait at a breakpoint do not wait for the scheduler; without
 *     the right (CAP_SYS_NICE) it is not asked again
 */
public record AttachOptions(Duration linger, Duration patience, boolean realtime) {
  /** Lingers 5 ms, waits 2 s for a thread, asks for real-time scheduling. */
  public static final AttachOptions DEFAULT =
      new AttachOptions(Duration.ofMillis(5), Duration.ofSeconds(2), true);

  /** As this, with another time to linger. */
  public AttachOptions withLinger(Duration value) {
    return new AttachOptions(value, patience, realtime);
  }

  /** As this, with another patience. */
  public AttachOptions withPatience(Duration value) {
    return new AttachOptions(linger, value, realtime);
  }

  /** As this, with or without real-time scheduling. */
  public AttachOptions withRealtime(boolean value) {
    return new AttachOptions(linger, patience, value);
  }
}
