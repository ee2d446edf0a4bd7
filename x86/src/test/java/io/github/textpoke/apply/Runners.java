package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.Account.Called;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/** The runners of one instance of the {@code workers} program, and where their calls lead. */
final class Runners {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final long LOOK_NANOS = 50_000;

  private final Fixture fixture;
  private final Places places;
  private final int count;

  /** What each blocks, and what is ignored and caught, when the program began. */
  private final ImmutableList<String> signals;

  /** What each one's handler had seen when its call began. */
  private final long[] trapsBefore;

  /** Calls of which it is not known where they led. */
  private final List<Deed.Call> underWay = new ArrayList<>();

  private final List<Called> calls = new ArrayList<>();

  Runners(Fixture fixture, Places places, int count) {
    this.fixture = fixture;
    this.places = places;
    this.count = count;
    this.trapsBefore = new long[count];
    this.signals = signalsNow();
  }

  int count() {
    return count;
  }

  /** Has a runner call, and waits until it has returned, or waits itself. */
  void call(Deed.Call call) {
    start(call.runner(), call.place());
    long deadline = System.nanoTime() + SOON.toNanos();
    // No event tells that a thread has trapped: only its tracer hears of it.
    while (!hasReturned(call.runner())) {
      if (hasTrapped(call.runner())) {
        underWay.add(call);
        return;
      }
      if (System.nanoTime() - deadline > 0) {
        throw new AssertionError(call + " neither returns nor waits; " + fixture.outputTail());
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
    calls.add(new Called(call.toString(), false, outcome(call), ""));
  }

  private void start(int runner, String place) {
    long begun = fixture.counter("runs_begun_" + runner);
    trapsBefore[runner] = fixture.counter("run_traps_" + runner);
    fixture.command("run " + runner + " 0x" + Long.toHexString(places.address(place)));
    fixture.awaitCounter("runs_begun_" + runner, begun + 1, SOON);
  }

  private boolean hasReturned(int runner) {
    return fixture.counter("runs_" + runner) == fixture.counter("runs_begun_" + runner);
  }

  private boolean hasTrapped(int runner) {
    ProcStatus status = ProcStatus.read((int) fixture.counter("runner_id_" + runner));
    return status != null && status.state() == 't';
  }

  /** Waits until a call has returned, and says where it led. */
  private String outcome(Deed.Call call) {
    int runner = call.runner();
    fixture.awaitCounter("runs_" + runner, fixture.counter("runs_begun_" + runner), SOON);
    String result = "x + " + fixture.counter("run_result_" + runner);
    long seen = fixture.counter("run_traps_" + runner) - trapsBefore[runner];
    return seen == 0
        ? result
        : result
            + " after "
            + seen
            + " traps, the last with rip "
            + places.name(fixture.counter("run_trap_at_" + runner));
  }

  /**
   * Waits for the calls that are under way, and makes each again.
   *
   * @return all calls since this was last asked
   */
  ImmutableList<Called> finish() {
    for (Deed.Call call : underWay) {
      String went = outcome(call);
      start(call.runner(), call.place());
      calls.add(new Called(call.toString(), true, went, outcome(call)));
    }
    underWay.clear();
    ImmutableList<Called> all = ImmutableList.copyOf(calls);
    calls.clear();
    return all;
  }

  /** A handler that a trap has reset is put back when the threads that waited run already. */
  ImmutableList<String> signalsWhenSettled() {
    long deadline = System.nanoTime() + SOON.toNanos();
    while (!signalsNow().equals(signals) && System.nanoTime() - deadline < 0) {
      LockSupport.parkNanos(LOOK_NANOS);
    }
    return signalsNow();
  }

  private ImmutableList<String> signalsNow() {
    ImmutableList.Builder<String> states = ImmutableList.builder();
    for (int i = 0; i < count; i++) {
      ProcStatus status = ProcStatus.read((int) fixture.counter("runner_id_" + i));
      states.add(
          status == null
              ? "gone"
              : "blocks %x, ignores %x, catches %x"
                  .formatted(status.blocked(), status.ignored(), status.caught()));
    }
    return states.build();
  }
}
