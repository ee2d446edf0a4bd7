package io.github.textpoke.x86.livepatch;

import java.time.Duration;

/**
 * How a live patch is loaded, enabled and disabled. Immutable.
 *
 * @param callTime how long each function of the patch that is called once (init, fini, callbacks)
 *     may run
 * @param patience how long a change waits for a moment at which no thread is in what is left
 */
public record LoadOptions(Duration callTime, Duration patience) {
  /** 5 s for a call, 10 s for a change. */
  public static final LoadOptions DEFAULT =
      new LoadOptions(Duration.ofSeconds(5), Duration.ofSeconds(10));

  /** As this, with another time for calls. */
  public LoadOptions withCallTime(Duration value) {
    return new LoadOptions(value, patience);
  }

  /** As this, with another patience. */
  public LoadOptions withPatience(Duration value) {
    return new LoadOptions(callTime, value);
  }
}
