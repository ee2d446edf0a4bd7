package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.x86.probe.ProbeAction;
import io.github.textpoke.x86.probe.ProbeStands;
import io.github.textpoke.x86.probe.Probes;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@RequiresPtrace
@Timeout(120)
class ProbeTest {
  private static final Duration LONG = Duration.ofSeconds(60);

  private final Fixture program = Fixture.start("probed", "--threads", "2", "--busy");

  /** Each worker has made a call, so that those that are counted are fewer than all. */
  @BeforeEach
  void begin() {
    program.command("go");
    program.awaitCounter("calls_0", 1, LONG);
    program.awaitCounter("calls_1", 1, LONG);
  }

  @AfterEach
  void stop() {
    try (Fixture stopped = program) {
      stopped.assertHealthy();
    }
  }

  @Test
  void countsForATimeAndTakesTheProbesBack() {
    JsonObject counted =
        Run.of("probe", program.pid(), "probed:told", "--for", "300ms", "--json").json();

    JsonObject told = counted.getAsJsonObject("functions").getAsJsonObject("probed:told");
    assertThat(told.get("count").getAsLong()).isBetween(1L, program.counter("calls"));
    assertThat(counted.get("nanos").getAsLong()).isGreaterThanOrEqualTo(300_000_000L);
    assertThat(counted.getAsJsonArray("unprobed")).isEmpty();
    assertThat(TargetProcess.status(program.pid()).patches())
        .extracting(PatchStatus::state)
        .containsExactly(PatchStatus.State.RETIRED);
  }

  @Test
  void takesTheTimesOfCalls() {
    JsonObject counted =
        Run.of("probe", program.pid(), "libc:strtok_r", "--latency", "--for", "300ms", "--json")
            .json();

    JsonObject times = counted.getAsJsonObject("functions").getAsJsonObject("libc.so.6:strtok_r");
    long timed = times.get("timed").getAsLong();
    assertThat(timed).isBetween(1L, times.get("count").getAsLong());
    long p50 = times.get("p50").getAsLong();
    assertThat(p50).isPositive();
    assertThat(times.get("p99").getAsLong()).isGreaterThanOrEqualTo(p50);
    assertThat(times.get("max").getAsLong()).isGreaterThanOrEqualTo(times.get("p99").getAsLong());
  }

  @Test
  void showsMediansAndPercentiles() {
    Run run =
        Run.of("probe", program.pid(), "libc:str*", "--latency", "--for", "300ms").assertDone();

    assertThat(run.out())
        .containsPattern("(?m)^calls +calls/s +p50 +p99 +function$")
        .containsPattern("[0-9,]+ +[0-9,]+ +[0-9,]+ ns +[0-9,]+ ns +libc.so.6:strtok_r");
  }

  @Test
  void showsTheFunctionsThatWereCalledTheMostCalledFirst() {
    Run run = Run.of("probe", program.pid(), "libc:str*", "--for", "300ms").assertDone();

    assertThat(run.out())
        .containsPattern("(?m)^calls +calls/s +function$")
        .contains("libc.so.6:strtok_r")
        .containsPattern("[0-9]+ of [0-9]+ functions were called in [0-9]+\\.[0-9]+ s");
  }

  @Test
  void aPoolThatIsTooSmallIsARefusal() {
    Run run = Run.of("probe", program.pid(), "libc:str*", "--for", "1ms", "--slots", "2");

    run.assertFailed(ExitCode.REFUSED);
    assertThat(run.err()).contains("the pool has 2 slots");
  }

  @Test
  void whereNoJumpCanStandABreakpointIsShownWithTheReason() {
    try (Fixture stays = Fixture.start("stays", "--threads", "1")) {
      stays.command("go");
      JsonObject none = Run.of("probe", stays.pid(), "stays:tiny", "--for", "1ms", "--json").json();
      assertThat(none.getAsJsonArray("unprobed")).hasSize(1);

      Run run =
          Run.of("probe", stays.pid(), "stays:entered", "--breakpoints", "--for", "100ms")
              .assertDone();
      assertThat(run.out()).containsPattern("(?m)^stays:entered: int3: rule 7 at \\+8 \\[j");

      try (TargetProcess process = TargetProcess.attach(stays.pid())) {
        Probes.in(process).at("stays:tiny", ProbeAction.count(), ProbeStands.BREAKPOINTS_TOO).arm();
        assertThat(Run.of("status", stays.pid()).assertDone().out())
            .containsPattern(
                "applied +probe of stays:tiny \\(count\\); int3: rule 9 at \\+0 \\[mov ");
      }
      Run.of("revert", stays.pid(), "--all").assertDone();
      stays.assertHealthy();
    }
  }

  @Test
  void countsThePassesOfAnInstruction() {
    try (Fixture stays = Fixture.start("stays", "--threads", "1")) {
      stays.command("go");
      stays.awaitCounter("calls", 1, LONG);
      String site = "0x" + Long.toHexString(stays.address("at_jump"));
      JsonObject counted = Run.of("probe", stays.pid(), site, "--for", "100ms", "--json").json();

      JsonObject functions = counted.getAsJsonObject("functions");
      String name = functions.keySet().iterator().next();
      assertThat(name).matches("stays:looped\\+.*");
      // Eight passes a call.
      assertThat(functions.getAsJsonObject(name).get("count").getAsLong())
          .isBetween(1L, 8 * stays.counter("calls"));
      stays.assertHealthy();
    }
  }

  @Test
  void aPatternThatMatchesNothingIsBadUsage() {
    Run run = Run.of("probe", program.pid(), "libc:no_such_*", "--for", "1ms");

    run.assertFailed(ExitCode.USAGE);
    assertThat(run.err()).contains("no function's name matches");
  }
}
