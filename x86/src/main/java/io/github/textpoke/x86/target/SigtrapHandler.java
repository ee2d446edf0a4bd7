package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.FLAG_HANDLER;
import static io.github.textpoke.apply.internal.SessionLayout.FLAG_IGNORED;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * The program's SIGTRAP handler, and putting it back: an int3 in a thread that blocks or ignores
 * SIGTRAP makes the kernel reset it (kernel/signal.c, force_sig_info_to_task). The poker has signal
 * handlers of its own; those of the program only its own threads reach, so the helper makes the
 * call.
 */
final class SigtrapHandler {
  private static final Place SAVED = new Place(SCRATCH + 0x660);
  private static final Place CURRENT = new Place(SCRATCH + 0x690);

  /** How often the helper is woken before it is given up: job control may have stopped it. */
  private static final int CALL_TRIES = 200;

  private static final long CALL_NANOS = 1_000_000;

  /** A thread has run a breakpoint of ours, and may have lost the handler. */
  final Slot inDoubt;

  /** {@code note()}: remembers the handler. */
  final Routine note;

  /** {@code wasReset()}: whether the program has no handler now. */
  final Routine wasReset;

  /** {@code putBack()}: sets the handler again where the kernel has reset it. */
  final Routine putBack;

  private final Emitter emitter;
  private final Routine call;

  SigtrapHandler(Emitter emitter, Shared shared) {
    this.emitter = emitter;
    inDoubt = emitter.variable();
    Slot a = emitter.variable();
    Slot b = emitter.variable();
    Slot tries = emitter.variable();
    call =
        emitter.routine(
            "askHelper",
            "have the helper set and read the handler; 0, or it did not answer",
            ImmutableList.of(a, b),
            () -> {
              emitter.set(Shared.CALL_NEW, a);
              emitter.set(Shared.CALL_OLD, b);
              emitter.set(Shared.CALL, 1);
              emitter.times(
                  tries,
                  Value.of(CALL_TRIES),
                  () -> {
                    shared.wake(Shared.POKER);
                    emitter.compute(shared.await(Shared.CALL, Value.of(1), CALL_NANOS));
                    emitter.when(Shared.CALL.is(2), () -> emitter.give(Shared.CALL_RESULT));
                  });
              emitter.set(Shared.CALL, 0);
              emitter.give(-Sys.ETIMEDOUT);
            });
    note =
        emitter.routine(
            "noteHandler",
            "remember the handler, unless it may have been reset",
            ImmutableList.of(),
            () ->
                emitter.when(
                    Emitter.both(ofInterest(), inDoubt.is(0)),
                    () -> {
                      emitter.run(call, Value.of(0), SAVED);
                      emitter.when(
                          Shared.FLAGS.has(FLAG_IGNORED),
                          () -> emitter.store(SAVED, Sys.ACTION_HANDLER, 8, Value.of(Sys.SIG_IGN)));
                    }));
    wasReset =
        emitter.routine(
            "wasReset",
            "whether the program has no handler now",
            ImmutableList.of(),
            () -> {
              emitter.when(call.of(Value.of(0), CURRENT).isNot(0), () -> emitter.give(0));
              emitter.when(CURRENT.at(Sys.ACTION_HANDLER).is(0), () -> emitter.give(1));
            });
    putBack =
        emitter.routine(
            "putBack",
            "set the handler again; a program that has set another since keeps that",
            ImmutableList.of(),
            () ->
                emitter.when(
                    inDoubt.isNot(0),
                    () ->
                        emitter.when(
                            call.of(Value.of(0), CURRENT).is(0),
                            () -> {
                              emitter.when(
                                  CURRENT.at(Sys.ACTION_HANDLER).is(0),
                                  () -> emitter.run(call, SAVED, Value.of(0)));
                              emitter.set(inDoubt, 0);
                            })));
  }

  /** Whether the program has set SIGTRAP to anything but the default. */
  Value.Test ofInterest() {
    return Shared.FLAGS.has(FLAG_HANDLER | FLAG_IGNORED);
  }
}
