package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a profiler within the target sees, which unwinds by {@code .eh_frame}, and by frame
 * pointers. Needs the right to trace the programs that it starts.
 */
class ProfiledDetourTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);

  /** Of worker 0, some tens of calls. */
  private static final int STEPS = 2_000;

  private static final int SAMPLES = 2_000;
  private static final int MICROSECONDS = 200;
  private static final int TOGGLES = 100;

  private Fixture program;

  private void start(String function) {
    program = Fixture.start("profiled", "--threads", "2", "--function", function);
  }

  @AfterEach
  void goesOnAsIfNothingHadBeen() {
    awaitMore("calls_0", 2);
    awaitMore("calls_1", 2);
    program.assertHealthy();
    program.close();
  }

  private void awaitMore(String counter, long more) {
    program.awaitCounter(counter, program.counter(counter) + more, TIMEOUT);
  }

  /** Ends the samples by time; none is being counted afterwards. */
  private void stopSampling() {
    long before = program.counter("idle");
    program.command("sample 0");
    program.awaitCounter("idle", before + 1, TIMEOUT);
  }

  /** Samples at each instruction, and then by time. */
  private void sample() {
    program.command("maps");
    program.command("step " + STEPS);
    program.awaitCounter("stepped_samples", STEPS, TIMEOUT);
    program.command("sample " + MICROSECONDS);
    awaitMore("timed_samples", SAMPLES);
    stopSampling();
    for (String kind : List.of("stepped", "timed")) {
      assertThat(of(kind, "lost"))
          .as("%s samples without their caller, the last at 0x%x", kind, of(kind, "lost_at"))
          .isZero();
      assertThat(of(kind, "ours_framed"))
          .as("%s samples in code of ours that frame pointers lead on from", kind)
          .isEqualTo(of(kind, "ours"));
    }
  }

  private long of(String kind, String counter) {
    return program.counter(kind + "_" + counter);
  }

  private void sampled(String function, Function<DetourSite, Detour> made) {
    start(function);
    try (TargetProcess process = TargetProcess.attach(program.pid())) {
      Detour detour = made.apply(Detours.in(process).at("profiled:" + function));
      sample();
      assertThat(of("stepped", "ours")).as("samples in code of ours").isPositive();
      detour.revert();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"hot", "slow"})
  void eachSampleHasItsCallerBeforeADetour(String function) {
    start(function);

    sample();

    assertThat(of("stepped", "ours") + of("timed", "ours")).isZero();
    assertThat(of("stepped", "lost_framed") + of("timed", "lost_framed")).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"hot", "slow"})
  void onlySamplesInTheStubAndTheCopyLoseTheirCaller(String function) {
    sampled(function, DetourSite::toItself);

    for (String kind : List.of("stepped", "timed")) {
      assertThat(of(kind, "below_ours")).isZero();
      assertThat(of(kind, "ours_unwound")).isZero();
      assertThat(of(kind, "ours_at_top")).as("of %s", kind).isEqualTo(of(kind, "ours"));
      assertThat(of(kind, "lost_framed")).isZero();
    }
  }

  @Test
  void aTimerFindsTheCopyOfAFunctionThatIsSlowAtItsEntry() {
    sampled("slow", DetourSite::toItself);

    assertThat(of("timed", "ours")).isPositive();
  }

  @Test
  void aBodyWithoutConditionsLeavesTheReturnAddressOnTop() {
    sampled("hot", site -> site.returning(ReturnOverride.returning(-1)));

    for (String kind : List.of("stepped", "timed")) {
      assertThat(of(kind, "below_ours")).isZero();
      assertThat(of(kind, "ours_at_top")).as("of %s", kind).isEqualTo(of(kind, "ours"));
      assertThat(of(kind, "lost_framed")).isZero();
    }
    assertThat(program.counter("returned")).isPositive();
  }

  @Test
  void whatABodyCallsEndsInTheBodyForWhoNeedsUnwindInformation() {
    sampled(
        "hot",
        site ->
            site.returning(ReturnOverride.returning(-1).withErrno(5).everyNth(2).lasting(TIMEOUT)));

    assertThat(of("stepped", "below_ours")).isPositive();
    assertThat(of("stepped", "ours_unwound")).isZero();
    assertThat(program.counter("returned")).isPositive();
  }

  @Test
  void samplesFallWhileTheDetourComesAndGoes() {
    start("slow");
    try (TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      // So that there is memory of ours, which the others take again.
      detours.at("profiled:slow").toItself().revert();
      program.command("maps");
      program.command("sample " + MICROSECONDS);
      awaitMore("timed_samples", 100);
      for (int i = 0; i < TOGGLES; i++) {
        detours.at("profiled:slow").toItself().revert();
      }
      stopSampling();
      assertThat(of("timed", "samples")).isGreaterThan(100);
      assertThat(of("timed", "lost"))
          .as("samples without their caller, the last at 0x%x", of("timed", "lost_at"))
          .isZero();
      assertThat(of("timed", "lost_framed")).isZero();
    }
  }
}
