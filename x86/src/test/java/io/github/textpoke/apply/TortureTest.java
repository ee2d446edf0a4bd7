package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
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
  private static final long TOGGLES = Boolean.getBoolean("soak") ? 1_000_000 : 100_000;

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
   * Shows that the test above can fail: without the first core sync nothing stands between the
   * breakpoint and the tail, so they are written in one go, and a core that holds the old first
   * bytes of a straddling call runs them with the new ones behind.
   */
  @Test
  void aStraddlingCallFaultsWithoutTheFirstCoreSync() {
    for (int round = 0; round < 60; round++) {
      String site = "call_" + (60 + round % 3);
      try (Fixture fixture = Fixture.start("workers", "--threads", "2", "--sites", site);
          TargetProcess process =
              TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT, new WithoutFirstSync())) {
        PatchPlan plan = WorkerSites.plan(process, fixture, site);
        process.toggle(plan, 5_000, Duration.ZERO, (nanos, window, traps, parked) -> true);
      } catch (TargetGoneException torn) {
        return;
      }
    }
    throw new AssertionError("300,000 toggles without the first core sync, and not one fault");
  }

  private static final class WithoutFirstSync implements Interference {
    @Override
    public ImmutableList<Step> steps(ImmutableList<Step> steps) {
      assertThat(steps).hasSize(6);
      assertThat(steps.get(1)).isInstanceOf(Step.SyncCores.class);
      Step.Write first = (Step.Write) steps.get(0);
      Step.Write tail = (Step.Write) steps.get(2);
      return ImmutableList.<Step>builder()
          .add(
              new Step.Write(
                  first.address(),
                  first.expected().concat(tail.expected()),
                  first.bytes().concat(tail.bytes()),
                  "breakpoint and tail, no core sync between"))
          .addAll(steps.subList(3, steps.size()))
          .build();
    }
  }
}
