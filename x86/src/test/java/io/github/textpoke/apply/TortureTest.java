package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Step;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sites that are toggled while threads run them: no crash, no wrong result, not once. */
@RequiresPtrace
class TortureTest {
  private static final ImmutableList<String> OFFSETS =
      ImmutableList.of("0", "59", "60", "61", "62", "63", "page_2");

  /** For each number of workers, over all sites. */
  private static final long TOGGLES = Boolean.getBoolean("soak") ? 1_000_000 : 16_000;

  @ParameterizedTest
  @ValueSource(ints = {2, 8})
  void noThreadSeesATornInstructionAtAnyOffset(int workers) {
    long each = TOGGLES / (2 * OFFSETS.size()) + 1;
    long toggled = 0;
    traps = 0;
    for (String offset : OFFSETS) {
      for (String kind : ImmutableList.of("call_", "nop_")) {
        toggled += toggle(workers, kind + offset, each);
      }
    }
    assertThat(toggled).isGreaterThanOrEqualTo(TOGGLES);
    assertThat(traps).as("threads that met a breakpoint").isGreaterThan(TOGGLES / 100);
  }

  private long traps;

  private long toggle(int workers, String site, long count) {
    try (Fixture fixture =
            Fixture.start("workers", "--threads", Integer.toString(workers), "--sites", site);
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      PatchPlan plan = WorkerSites.plan(process, fixture, site);
      long before = fixture.counter("calls");
      long toggled =
          process.toggle(
              plan,
              count,
              Duration.ZERO,
              (nanos, window, met, parked) -> {
                traps += met;
                return true;
              });
      fixture.awaitCounter("calls", before + count, Duration.ofSeconds(30));
      fixture.assertHealthy();
      return toggled;
    }
  }

  /**
   * Shows that the test above can fail, on every processor: the tail is written before the
   * breakpoint, so that threads run the old first byte with the new bytes behind. To leave out the
   * first core sync comes to the same where a core holds old bytes long enough: a Cascade Lake
   * faulted after some thousand toggles, an Emerald Rapids in 300,000 never.
   */
  @Test
  void aTailThatIsWrittenBeforeTheBreakpointIsTornOnTheSpot() {
    for (int round = 0; round < 20; round++) {
      try (Fixture fixture = Fixture.start("workers", "--threads", "2", "--sites", "nop_62");
          TargetProcess process =
              TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT, new TailFirst())) {
        PatchPlan plan = WorkerSites.plan(process, fixture, "nop_62");
        process.toggle(plan, 1_000, Duration.ZERO, (nanos, window, traps, parked) -> true);
      } catch (TargetGoneException | NoSuchProcessException torn) {
        return;
      }
    }
    throw new AssertionError("20,000 toggles with the tail first, and not one fault");
  }

  private static final class TailFirst implements Interference {
    @Override
    public ImmutableList<Step> steps(ImmutableList<Step> steps) {
      assertThat(steps).hasSize(6);
      assertThat(steps.get(1)).isInstanceOf(Step.SyncCores.class);
      return ImmutableList.<Step>builder()
          .add(steps.get(2))
          .add(steps.get(0))
          .addAll(steps.subList(3, steps.size()))
          .build();
    }
  }
}
