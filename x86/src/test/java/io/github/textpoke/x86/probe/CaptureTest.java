package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Needs the right to trace the programs that it starts. */
final class CaptureTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(120);
  private static final int THREADS = 8;

  /** All six, as a whole. */
  private static final ProbeAction.Capture ALL =
      ProbeAction.capture(IntStream.rangeClosed(1, Argument.MOST).mapToObj(Argument::of).toList());

  private static Fixture captured(String... arguments) {
    return Fixture.start("captured", arguments);
  }

  private static void awaitStopped(Fixture program, int threads) {
    program.awaitCounter("stopped", threads, TIMEOUT);
    program.assertHealthy();
    assertThat(program.counter("wrong")).isZero();
  }

  /** As the program has it. */
  private static long mix(long x) {
    return (x ^ x >>> 29) * 0xbf58476d1ce4e5b9L;
  }

  /** What was taken until now, each call looked at. */
  private static final class Taken {
    private final boolean isReturned;
    private final Set<Long> seen = new HashSet<>();
    private final Map<Long, Integer> threads = new HashMap<>();
    private long lost;

    Taken(ProbeAction.Capture action) {
      this.isReturned = action.returned().isPresent();
    }

    void drain(Probe probe) {
      CapturedCalls calls = probe.drain();
      lost += calls.lost();
      calls.calls().forEach(this::check);
    }

    long delivered() {
      return seen.size();
    }

    private void check(CapturedCall call) {
      long who = call.arguments().get(0);
      long number = call.arguments().get(1);
      long a = mix((who << 32) + number);
      long b = mix(a);
      long c = mix(b);
      long d = mix(c);
      long result = ((((2 * who + 42) ^ number) + a) ^ b) + c ^ d;
      boolean isRight =
          call.arguments().equals(ImmutableLongArray.of(who, number, a, b, c, d))
              && call.returned().equals(isReturned ? OptionalLong.of(result) : OptionalLong.empty())
              && call.tookNanos().isPresent() == isReturned;
      assertThat(isRight).as("%s is a call as it was made", call).isTrue();
      boolean isNew = seen.add((who << 32) + number);
      assertThat(isNew).as("%s is delivered once", call).isTrue();
      threads.put(who % 1000, call.thread().orElseThrow());
    }
  }

  /** Rings that hold a lot, and rings that are far too small; where returns are asked for, too. */
  @ParameterizedTest
  @CsvSource({"4096, false", "64, false", "4096, true", "64, true"})
  void eachCallOfAllThreadsIsDeliveredOnceAsItWasOrCountedAsLost(int records, boolean returns) {
    try (Fixture program = captured("--alarms", "100");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      ProbeAction.Capture action =
          (returns ? ALL.withReturned(IntegerType.INT64) : ALL).keeping(records);
      Probe probe = Probes.in(process).at("captured:six", action);
      Taken taken = new Taken(action);
      probe.arm();
      program.command("go");
      // It is obeyed some time later, and the drains may be over by then.
      program.awaitCounter("handled", 1, TIMEOUT);
      for (int drains = 0; drains < 200 && taken.delivered() < 100_000; drains++) {
        taken.drain(probe);
      }
      program.command("stop");
      awaitStopped(program, THREADS);
      taken.drain(probe);
      long calls = program.counter("calls") + program.counter("handled");
      assertThat(program.counter("handled")).isPositive();
      assertThat(probe.snapshot().total()).isEqualTo(calls);
      assertThat(taken.delivered() + taken.lost).isEqualTo(calls);
      assertThat(taken.delivered()).isPositive();
      for (int i = 0; i < THREADS; i++) {
        assertThat((long) taken.threads.getOrDefault((long) i, 0))
            .isIn(0L, program.counter("tid_" + i));
      }
    }
  }

  @Test
  void noneIsLostWhereThereIsRoomForAll() {
    try (Fixture program = captured("--calls", "5000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      ProbeAction.Capture action = ALL.keeping(65_536);
      Probe probe = Probes.in(process).at("captured:six", action);
      probe.arm();
      program.command("go");
      awaitStopped(program, THREADS);
      probe.disarm();
      Taken taken = new Taken(action);
      taken.drain(probe);
      assertThat(taken.delivered()).isEqualTo(THREADS * 5_000);
      assertThat(taken.lost).isZero();
      assertThat(taken.threads).hasSize(THREADS);
      assertThat(probe.drain().calls()).isEmpty();
    }
  }

  @Test
  void aSingleThreadsCallsAreAllDeliveredInTheirOrderWithWhatTheyReturned() {
    try (Fixture program = captured("--threads", "1", "--calls", "30000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      ProbeAction.Capture action = ALL.withReturned(IntegerType.INT64).keeping(65_536);
      Probe probe = Probes.in(process).at("captured:six", action);
      probe.arm();
      long before = System.nanoTime();
      program.command("go");
      awaitStopped(program, 1);
      long after = System.nanoTime();
      CapturedCalls calls = probe.drain();
      assertThat(calls.lost()).isZero();
      assertThat(calls.calls())
          .extracting(call -> call.arguments().get(1))
          .isEqualTo(LongStream.range(0, 30_000).boxed().toList());
      assertThat(calls.calls()).isSortedAccordingTo(Comparator.comparingLong(CapturedCall::nanos));
      long slack = TimeUnit.MILLISECONDS.toNanos(1);
      assertThat(calls.calls().get(0).nanos()).isBetween(before - slack, after + slack);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void itComesAndGoesWhileItIsDrained(boolean returns) {
    int rounds = 50;
    try (Fixture program = captured("--alarms", "500");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      ProbeAction.Capture action =
          (returns ? ALL.withReturned(IntegerType.INT64) : ALL).keeping(1024);
      Probe probe = Probes.in(process).at("captured:six", action);
      Taken taken = new Taken(action);
      program.command("go");
      for (int i = 0; i < rounds; i++) {
        probe.arm();
        // More than there is room for.
        program.awaitCounter("calls", program.counter("calls") + 2_000, TIMEOUT);
        taken.drain(probe);
        probe.disarm();
        if (i % 2 == 0) {
          taken.drain(probe);
        }
      }
      program.command("stop");
      awaitStopped(program, THREADS);
      taken.drain(probe);
      long settled = taken.delivered() + taken.lost;
      // A call and that of a handler in it may be without a record where it is disarmed.
      assertThat(probe.snapshot().total() - settled)
          .isBetween(0L, returns ? 2L * THREADS * rounds : 0L);
      assertThat(taken.delivered()).isGreaterThan(rounds);
      assertThat(taken.lost).isPositive();
    }
  }

  @Test
  void whereNoJumpCanStandABreakpointLeadsToTheSameBody() {
    int calls = 200;
    try (Fixture program =
            Fixture.start("stays", "--threads", "2", "--calls", Integer.toString(calls));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe =
          Probes.in(process)
              .at("stays:tiny", ProbeAction.capture(Argument.of(1)), ProbeStands.BREAKPOINTS_TOO);
      assertThat(probe.functions().get(0).stand()).isInstanceOf(ProbeStand.Breakpoint.class);
      probe.arm();
      program.command("go");
      awaitStopped(program, 2);
      CapturedCalls captured = probe.drain();
      assertThat(captured.calls()).hasSize(2 * calls);
      assertThat(captured.lost()).isZero();
      probe.disarm();
    }
  }

  @Test
  void twoOfOneFunctionCaptureTheSameCalls() {
    try (Fixture program = captured("--threads", "1", "--calls", "1000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probes probes = Probes.in(process);
      ProbeAction.Capture returned = ALL.withReturned(IntegerType.INT64);
      Probe below = probes.at("captured:six", returned);
      below.arm();
      Probe above = probes.at("captured:six", ALL);
      above.arm();
      program.command("go");
      awaitStopped(program, 1);
      for (Probe probe : List.of(above, below)) {
        Taken taken = new Taken(probe == below ? returned : ALL);
        taken.drain(probe);
        assertThat(taken.delivered()).isEqualTo(1000);
        assertThat(taken.lost).isZero();
      }
    }
  }

  @Test
  void onlyAProbeThatCapturesIsDrained() {
    try (Fixture program = captured("--threads", "1");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("captured:six", ProbeAction.count());
      assertThatThrownBy(probe::drain)
          .isInstanceOf(WrongStateException.class)
          .hasMessageContaining("captures nothing");
    }
  }
}
