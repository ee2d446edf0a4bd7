package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.LongUnaryOperator;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What functions of many kinds return. Needs the right to trace the programs that it starts. */
final class CaptureReturnsTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(120);
  private static final int THREADS = 8;

  /** What they return for their first argument, as the program has it. */
  private static final Map<String, LongUnaryOperator> RETURNED =
      Map.of(
          "leaf", x -> x + 1,
          "branchy", CaptureReturnsTest::branchy,
          "recurse", n -> n <= 0 ? 0 : n * (n + 1) / 2,
          "switches", CaptureReturnsTest::switches,
          "passes", x -> 2 * x + 1);

  private static final ProbeAction.Capture ACTION =
      ProbeAction.capture(Argument.of(1)).withReturned(IntegerType.INT64).keeping(1 << 16);

  private static long branchy(long x) {
    if (x < 10) {
      return x;
    }
    if (x % 3 == 0) {
      return (x + 1) * 2;
    }
    for (int i = 0; i < 3; i++) {
      x ^= x << 7;
    }
    return (x & 1) == 1 ? -x : x;
  }

  private static long switches(long x) {
    return switch ((int) (x & 7)) {
      case 0 -> x + 1;
      case 1 -> x * 3;
      case 2 -> x ^ 6;
      case 3 -> -x;
      case 4 -> x / 7;
      case 5 -> x << 2;
      case 6 -> 1 - x;
      default -> x % 11;
    };
  }

  private static Fixture timed(String... arguments) {
    return Fixture.start("timed", arguments);
  }

  private static void awaitStopped(Fixture program, int threads) {
    program.awaitCounter("stopped", threads, TIMEOUT);
    program.assertHealthy();
    assertThat(program.counter("wrong")).isZero();
  }

  private static String name(CapturedCall call) {
    return call.function().name().substring("timed:".length());
  }

  /** Each value is the one of its arguments, or the function went on in another one. */
  private static void assertRight(List<CapturedCall> calls) {
    for (CapturedCall call : calls) {
      long x = call.arguments().get(0);
      LongUnaryOperator returned = RETURNED.get(name(call));
      if (returned != null && call.returned().isPresent()) {
        assertThat(call.returned().getAsLong()).as("%s", call).isEqualTo(returned.applyAsLong(x));
      }
    }
  }

  private static Map<String, Long> byName(List<CapturedCall> calls) {
    return calls.stream()
        .collect(Collectors.groupingBy(CaptureReturnsTest::name, Collectors.counting()));
  }

  @Test
  void eachCallOfASingleThreadHasItsRecord() {
    try (Fixture program = timed("--threads", "1", "--calls", "1000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ACTION);
      probe.arm();
      program.command("go");
      awaitStopped(program, 1);
      CapturedCalls calls = probe.drain();
      Map<String, Long> seen = byName(calls.calls());
      assertThat(calls.lost()).isZero();
      assertRight(calls.calls());
      for (String name : List.of("leaf", "branchy", "tail", "recurse", "through", "switches")) {
        assertThat(seen.get(name)).as(name).isEqualTo(program.counter(name));
      }
      // They end by a jump, to branchy or leaf.
      assertThat(calls.calls())
          .filteredOn(call -> List.of("tail", "through").contains(name(call)))
          .allMatch(call -> call.returned().isEmpty() && call.tookNanos().isPresent());
      assertThat(calls.calls())
          .filteredOn(call -> List.of("leaf", "recurse", "passes").contains(name(call)))
          .allMatch(call -> call.returned().isPresent());
    }
  }

  @Test
  void handlersAndCallsThatAreLeftMixNothingUp() {
    try (Fixture program = timed("--alarms", "100", "--stacks", "--leave");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe = Probes.in(process).at("timed:*", ACTION);
      probe.arm();
      program.command("go");
      long delivered = 0;
      long lost = 0;
      while (program.counter("signals") < 10_000) {
        CapturedCalls calls = probe.drain();
        assertRight(calls.calls());
        delivered += calls.calls().size();
        lost += calls.lost();
      }
      program.command("stop");
      awaitStopped(program, THREADS);
      CapturedCalls last = probe.drain();
      assertRight(last.calls());
      delivered += last.calls().size();
      lost += last.lost();
      ProbeSnapshot seen = probe.snapshot();
      for (String name : RETURNED.keySet()) {
        assertThat(seen.count(name)).as(name).isEqualTo(program.counter(name));
      }
      // Notes of calls that never returned are there until their place is used again.
      long cells =
          new CaptureTable(1, ProbePool.DEFAULT.threads(), 2, true).cells().groups() * 256L;
      assertThat(seen.total() - delivered - lost).isBetween(0L, cells);
      assertThat(delivered).isPositive();
    }
  }

  /** Those that are meant never return; those that return have the same place on the stack. */
  @Test
  void aCallThatWasLeftIsNotTakenForTheNextOneAtItsPlace() {
    try (Fixture program = timed("--threads", "1", "--calls", "2000", "--leave");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      CallCondition isLeft = Argument.of(2).as(IntegerType.UINT8).isEqualTo(1);
      Probe captures = Probes.in(process).at("timed:passes", ACTION.when(isLeft));
      captures.arm();
      program.command("go");
      awaitStopped(program, 1);
      long left = program.counter("passes") - program.counter("passes_returned");
      CapturedCalls calls = captures.drain();
      assertThat(calls.calls()).isEmpty();
      assertThat(captures.snapshot().total()).isEqualTo(left);
      assertThat(calls.lost()).isBetween(left - 1, left);
    }
  }

  @Test
  void aCallThatWasLeftGivesItsTimeToNoOther() {
    try (Fixture program = timed("--threads", "1", "--calls", "2000", "--leave");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      CallCondition isLeft = Argument.of(2).as(IntegerType.UINT8).isEqualTo(1);
      Probe times = Probes.in(process).at("timed:passes", ProbeAction.latency().when(isLeft));
      times.arm();
      program.command("go");
      awaitStopped(program, 1);
      ProbeSnapshot seen = times.snapshot();
      assertThat(seen.total())
          .isEqualTo(program.counter("passes") - program.counter("passes_returned"));
      assertThat(seen.latencies("passes").orElseThrow().count()).isZero();
    }
  }

  @Test
  void onlyCallsThatAreMeantAreTimedOrCaptured() {
    try (Fixture program = timed("--threads", "1", "--calls", "2000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      CallCondition isOuter = Argument.of(1).isAtLeast(6);
      Probe times = Probes.in(process).at("timed:recurse", ProbeAction.latency().when(isOuter));
      times.arm();
      Probe captures =
          Probes.in(process)
              .at("timed:switches", ACTION.when(Argument.of(1).masked(7).isEqualTo(3)));
      captures.arm();
      program.command("go");
      awaitStopped(program, 1);
      ProbeSnapshot seen = times.snapshot();
      // Of nine calls, with 8 to 0.
      assertThat(seen.total()).isEqualTo(program.counter("recurse") / 3);
      assertThat(seen.latencies("recurse").orElseThrow().count()).isEqualTo(seen.total());
      CapturedCalls calls = captures.drain();
      assertRight(calls.calls());
      assertThat(calls.calls()).hasSize((int) captures.snapshot().total()).isNotEmpty();
      assertThat(calls.calls()).allMatch(call -> (call.arguments().get(0) & 7) == 3);
    }
  }
}
