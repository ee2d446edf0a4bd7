package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/** What JVM, helper and poker share, by name, and the few calls that all tasks make. */
final class Shared {
  static final Slot REQUEST = new Slot(SessionLayout.REQUEST, 4);
  static final Slot ANSWERED = new Slot(SessionLayout.ANSWERED, 4);
  static final Slot STATE = new Slot(SessionLayout.STATE, 4);
  static final Slot COMMAND = new Slot(SessionLayout.COMMAND, 8);
  static final Slot PLAN = new Slot(SessionLayout.PLAN, 8);
  static final Slot WANTED_HOLD = new Slot(SessionLayout.WANTED_HOLD, 8);
  static final Slot LIST_COUNT = new Slot(SessionLayout.LIST_COUNT, 8);
  static final Slot MAP_ADDRESS = new Slot(SessionLayout.MAP_ADDRESS, 8);
  static final Slot MAP_SIZE = new Slot(SessionLayout.MAP_SIZE, 8);
  static final Slot MAP_PROTECTION = new Slot(SessionLayout.MAP_PROTECTION, 8);
  static final Place MAP_NAME = new Place(SessionLayout.MAP_NAME);
  static final Slot LINGER = new Slot(SessionLayout.LINGER, 8);
  static final Slot LEASE = new Slot(SessionLayout.LEASE, 8);
  static final Slot FLAGS = new Slot(SessionLayout.FLAGS, 8);
  static final Slot RESULT = new Slot(SessionLayout.RESULT, 8);
  static final Slot RESULT_STEP = new Slot(SessionLayout.RESULT_STEP, 8);
  static final Slot RESULT_ADDRESS = new Slot(SessionLayout.RESULT_ADDRESS, 8);
  static final Place RESULT_FOUND = new Place(SessionLayout.RESULT_FOUND);
  static final Slot RESULT_OUTCOME = new Slot(SessionLayout.RESULT_OUTCOME, 8);
  static final Slot NANOS = new Slot(SessionLayout.NANOS, 8);
  static final Slot WINDOW_NANOS = new Slot(SessionLayout.WINDOW_NANOS, 8);
  static final Slot TRAPS = new Slot(SessionLayout.TRAPS, 8);
  static final Slot PARKED = new Slot(SessionLayout.PARKED, 8);
  static final Slot THREADS = new Slot(SessionLayout.THREADS, 8);
  static final Slot HOLD = new Slot(SessionLayout.HOLD, 8);
  static final Slot PAUSED = new Slot(SessionLayout.PAUSED, 4);
  static final Slot GO_ON = new Slot(SessionLayout.GO_ON, 4);
  static final Slot POKER = new Slot(SessionLayout.POKER, 4);
  static final Slot UNDER_WAY = new Slot(SessionLayout.UNDER_WAY, 8);
  static final Slot CALL = new Slot(SessionLayout.CALL, 4);
  static final Slot CALL_NEW = new Slot(SessionLayout.CALL_NEW, 8);
  static final Slot CALL_OLD = new Slot(SessionLayout.CALL_OLD, 8);
  static final Slot CALL_RESULT = new Slot(SessionLayout.CALL_RESULT, 8);
  static final Slot HELPER = new Slot(SessionLayout.HELPER, 8);
  static final Slot NAMED = new Slot(SessionLayout.NAMED, 4);
  static final Slot TARGET = new Slot(SessionLayout.TARGET, 8);
  static final Slot FINISHED = new Slot(SessionLayout.FINISHED, 8);
  static final Slot CONTEXTS = new Slot(SessionLayout.CONTEXTS, 4);
  static final Slot CONTEXT_AT = new Slot(SessionLayout.CONTEXT_AT, 8);
  static final Slot CONTEXT_BOUNDARY = new Slot(SessionLayout.CONTEXT_BOUNDARY, 8);
  static final Slot STACKS_COUNT = new Slot(SessionLayout.STACKS_COUNT, 8);
  static final Slot LENT_CALL = new Slot(SessionLayout.LENT_CALL, 8);
  static final Slot STANDING = new Slot(SessionLayout.STANDING, 8);
  static final Slot YIELD = new Slot(SessionLayout.YIELD, 4);
  static final Slot SIZE = new Slot(SessionLayout.SIZE, 8);

  private final Emitter emitter;

  /** {@code now()}: nanoseconds of the monotonic clock. */
  final Routine now;

  /** {@code pause(nanos)}: fills a struct timespec; its address. */
  final Routine timespec;

  /**
   * @param clock offset of 16 bytes of scratch
   * @param time offset of 16 other bytes
   */
  Shared(Emitter emitter, String task, int clock, int time) {
    this.emitter = emitter;
    Place now = new Place(clock);
    this.now =
        emitter.routine(
            task + ".now",
            "nanoseconds of the monotonic clock",
            ImmutableList.of(),
            () -> {
              emitter.system(Sys.CLOCK_GETTIME, Value.of(Sys.CLOCK_MONOTONIC), now);
              emitter.give(
                  new Slot(clock + Sys.TIME_SECONDS, 8)
                      .times(Sys.NANOS_PER_SECOND)
                      .plus(new Slot(clock + Sys.TIME_NANOS, 8)));
            });
    Slot nanos = emitter.variable();
    timespec =
        emitter.routine(
            task + ".timespec",
            "a time-out as the kernel wants it",
            ImmutableList.of(nanos),
            () -> {
              emitter.set(
                  new Slot(time + Sys.TIME_SECONDS, 8),
                  new Value.Quotient(nanos, Sys.NANOS_PER_SECOND, false));
              emitter.set(
                  new Slot(time + Sys.TIME_NANOS, 8),
                  new Value.Quotient(nanos, Sys.NANOS_PER_SECOND, true));
              emitter.give(new Place(time));
            });
  }

  /** Wakes who waits for a word to change. */
  void wake(Slot word) {
    emitter.system(
        Sys.FUTEX, word.address(), Value.of(Sys.FUTEX_WAKE), Value.of(Integer.MAX_VALUE));
  }

  /**
   * Waits while a word holds a value.
   *
   * @return 0, or the negated errno
   */
  Value await(Slot word, Value value, long nanos) {
    return await(word, value, Value.of(nanos));
  }

  /**
   * Waits while a word holds a value.
   *
   * @return 0, or the negated errno
   */
  Value await(Slot word, Value value, Value nanos) {
    return Emitter.call(
        Sys.FUTEX, word.address(), Value.of(Sys.FUTEX_WAIT), value, timespec.of(nanos));
  }
}
