package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.plan.PatchPlan;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** How long the helper stays without a word from the JVM. */
@RequiresPtrace
class LeaseTest {
  private static final int PATCHES = 30;

  /** Shorter than this JVM takes to map the session's memory and to say what it wants. */
  private static final Duration TOO_SHORT = Duration.ofNanos(50_000);

  @Test
  void aHelperThatLeavesBeforeASlowJvmHasSaidAnythingIsFollowedByOneThatWaitsLonger() {
    AttachOptions hasty =
        AttachOptions.DEFAULT
            .withEngine(EngineChoice.POKER)
            .withLease(TOO_SHORT)
            .withLinger(Duration.ZERO);
    try (Fixture fixture = Fixture.start("workers", "--threads", "2", "--sites", "nop_62")) {
      try (TargetProcess process = TargetProcess.attach(fixture.pid(), hasty)) {
        PatchPlan plan = WorkerSites.plan(process, fixture, "nop_62");
        for (int i = 0; i < PATCHES; i++) {
          Patch patch = process.apply(plan);
          assertThat(patch.report().orElseThrow().engine()).isEqualTo(PokerEngine.NAME);
          patch.revert();
        }
      }
      fixture.assertHealthy();
    }
  }
}
