package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.ledger.Extent;
import org.junit.jupiter.api.Test;

/**
 * Whether a thread is in a stretch of code: what decides when code of ours may go. Needs the right
 * to trace the programs that it starts.
 */
class UnusedCodeTest {
  private static Extent extent(TargetProcess process, String function) {
    CodeRegion code = process.code(function);
    return new Extent(code.address(), code.bytes().length());
  }

  @Test
  void codeThatRunningThreadsAreInOrReturnToIsUsed() {
    try (Fixture fixture = Fixture.start("plain", "--threads", "3");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      // Nobody stands in these two, or only now and then; everybody returns to the third.
      Extent never = extent(process, "plain:repl_4");
      Extent alsoNever = extent(process, "plain:around");
      Extent returnedTo = extent(process, "plain:work");
      for (int i = 0; i < 50; i++) {
        assertThat(process.unused(ImmutableList.of(never, alsoNever, returnedTo)))
            .containsExactlyInAnyOrder(never, alsoNever);
      }
      fixture.assertHealthy();
    }
  }

  @Test
  void codeThatSleepingThreadsReturnToIsUsedAndNobodyIsWoken() {
    try (Fixture fixture = Fixture.start("displaced", "--threads", "1", "--sleepers", "3");
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      Extent sleeping = extent(process, "displaced:sleep_for_ever");
      Extent never = extent(process, "displaced:watch_child");
      for (int i = 0; i < 50; i++) {
        assertThat(process.unused(ImmutableList.of(sleeping, never))).containsExactly(never);
      }
      assertThat(fixture.counter("eintr")).isZero();
      fixture.assertHealthy();
    }
  }
}
