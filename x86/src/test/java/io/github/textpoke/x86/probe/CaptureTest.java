package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
    private long delivered;
    private long lost;

    Taken(ProbeAction.Capture action) {
      this.isReturned = action.returned().isPresent();
    }

    void drain(Probe probe) {
      CapturedCalls calls = probe.drain();
      lost += calls.lost();
      delivered += calls.calls().size();
      calls.calls().forEach(this::check);
    }

    private void check(CapturedCall call) {
      long who = call.arguments().get(0);
      long number = call.arguments().get(1);
      assertThat(seen.add((who << 32) + number)).as("%s once", call).isTrue();
      long a = mix((who << 32) + number);
      long b = mix(a);
      long c = mix(b);
      long d = mix(c);
      assertThat(call.arguments().asList()).containsExactly(who, number, a, b, c, d);
      assertThat(call.tookNanos().isPresent()).isEqualTo(isReturned);
      if (isReturned) {
        assertThat(call.returned()).hasValue(((((2 * who + 42) ^ number) + a) ^ b) + c ^ d);
      } else {
        assertThat(call.returned()).isEmpty();
      }
    }
  }

  /** Rings that hold all, and rings that are far too small; where returns are asked for, too. */
  @ParameterizedTest
  @CsvSource({"65536, false", "64, false", "65536, true", "64, true"})
  void eachCallOfAllThreadsIsDeliveredOnceAsItWasOrCountedAsLost(int records, boolean returns) {
    try (Fixture program = captured("--calls", "50000", "--alarms", "100");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      ProbeAction.Capture action =
          (returns ? ALL.withReturned(IntegerType.INT64) : ALL).keeping(records);
      Probe probe = Probes.in(process).at("captured:six", action);
      assertThat(probe.unprobed()).isEmpty();
      Taken taken = new Taken(action);
      probe.arm();
      program.command("go");
      while (program.counter("stopped") < THREADS) {
        taken.drain(probe);
      }
      awaitStopped(program, THREADS);
      taken.drain(probe);
      long calls = program.counter("calls") + program.counter("handled");
      assertThat(program.counter("handled")).isPositive();
      assertThat(probe.snapshot().total()).isEqualTo(calls);
      assertThat(taken.delivered + taken.lost).isEqualTo(calls);
      assertThat(taken.delivered).isPositive();
    }
  }
}
