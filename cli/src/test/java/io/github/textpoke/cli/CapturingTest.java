package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@RequiresPtrace
@Timeout(120)
class CapturingTest {
  private final Fixture program = Fixture.start("captured", "--threads", "2");

  @BeforeEach
  void begin() {
    program.command("go");
    program.awaitCounter("calls", 1, Duration.ofSeconds(60));
  }

  @AfterEach
  void stop() {
    try (Fixture stopped = program) {
      stopped.assertHealthy();
    }
  }

  @Test
  void printsEachCallAsAJsonObjectOnALineAndThenWhatThereWas() {
    Instant before = Instant.now();
    Run run =
        Run.of(
                "probe",
                program.pid(),
                "captured:six",
                "--capture",
                "arg1,arg2:u16,arg2,ret",
                "--when",
                "arg2&0xfff==0x123 && arg1<=1",
                "--for",
                "300ms",
                "--json")
            .assertDone();

    List<JsonObject> lines =
        run.out().lines().map(line -> JsonParser.parseString(line).getAsJsonObject()).toList();
    JsonObject last = lines.get(lines.size() - 1);
    List<JsonObject> calls = lines.subList(0, lines.size() - 1);
    assertThat(calls)
        .isNotEmpty()
        .allSatisfy(
            call -> {
              assertThat(call.get("function").getAsString()).isEqualTo("captured:six");
              JsonObject arguments = call.getAsJsonObject("arguments");
              long worker = arguments.get("arg1").getAsLong();
              long number = arguments.get("arg2").getAsLong();
              assertThat(number & 0xfff).isEqualTo(0x123);
              assertThat(arguments.get("arg2:u16").getAsLong()).isEqualTo(number & 0xffff);
              assertThat(call.get("thread").getAsLong())
                  .isEqualTo(program.counter("tid_" + worker));
              assertThat(call.has("returned")).isTrue();
              assertThat(call.get("took").getAsLong()).isNotNegative();
              assertThat(Instant.parse(call.get("time").getAsString()))
                  .isBetween(before.minusMillis(100), Instant.now().plusMillis(100));
            });
    long counted =
        last.getAsJsonObject("functions").getAsJsonObject("captured:six").get("count").getAsLong();
    assertThat(last.get("captured").getAsLong()).isEqualTo(calls.size());
    // Two may be under way when the probe goes.
    assertThat(counted - last.get("captured").getAsLong() - last.get("lost").getAsLong())
        .isBetween(0L, 2L);
    assertThat(TargetProcess.status(program.pid()).patches())
        .extracting(PatchStatus::state)
        .containsExactly(PatchStatus.State.RETIRED);
  }

  @Test
  void printsEachCallOnALineForPeople() {
    Run run =
        Run.of(
                "probe",
                program.pid(),
                "captured:six",
                "--capture",
                "arg1,arg3:u32",
                "--when",
                "arg2&0xfff==0",
                "--for",
                "200ms")
            .assertDone();

    assertThat(run.out())
        .containsPattern(
            "(?m)^\\d\\d:\\d\\d:\\d\\d\\.\\d{6} \\d+ captured:six\\(arg1=[01], arg3=\\d+\\)$")
        .containsPattern("(?m)^[0-9]+ calls were captured, 0 got lost$")
        .containsPattern("(?m)^1 of 1 function was called in [0-9]+\\.[0-9]+ s$");
  }

  @Test
  void whatComesTooFastIsSaidToBeLost() {
    Run run =
        Run.of(
                "probe",
                program.pid(),
                "captured:six",
                "--capture",
                "arg1",
                "--records",
                "2",
                "--for",
                "100ms")
            .assertDone();

    assertThat(run.out()).containsPattern("(?m)^[0-9]+ calls got lost$");
  }

  @Test
  void countsAreOfTheCallsThatAreMeant() {
    JsonObject counted =
        Run.of(
                "probe",
                program.pid(),
                "captured:six",
                "--when",
                "arg1>7",
                "--for",
                "100ms",
                "--json")
            .json();

    assertThat(
            counted
                .getAsJsonObject("functions")
                .getAsJsonObject("captured:six")
                .get("count")
                .getAsLong())
        .isZero();
  }

  @Test
  void whatIsWrittenInAnotherWayIsBadUsage() {
    for (String condition : List.of("arg1", "arg7==1", "arg1=1", "arg1==1 || arg2==2", "arg1==x")) {
      Run run = Run.of("probe", program.pid(), "captured:six", "--when", condition);
      run.assertFailed(ExitCode.USAGE);
      assertThat(run.err()).contains("is no condition: write arg1==0");
    }
    Run never = Run.of("probe", program.pid(), "captured:six", "--when", "arg1:u8==256");
    never.assertFailed(ExitCode.USAGE);
    assertThat(never.err()).contains("arg1:u8 is never 256");
    for (String capture : List.of("", "arg0", "arg1,,arg2", "ret,ret", "arg1:f64")) {
      Run run = Run.of("probe", program.pid(), "captured:six", "--capture", capture);
      run.assertFailed(ExitCode.USAGE);
      assertThat(run.err()).contains("is not what can be kept of a call");
    }
    Run records =
        Run.of("probe", program.pid(), "captured:six", "--capture", "ret", "--records", "3");
    records.assertFailed(ExitCode.USAGE);
    assertThat(records.err()).contains("give a power of two");
    Run both = Run.of("probe", program.pid(), "captured:six", "--capture", "ret", "--latency");
    both.assertFailed(ExitCode.USAGE);
  }
}
