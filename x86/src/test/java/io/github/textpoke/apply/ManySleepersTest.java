package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableSortedMap;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a poke costs those that have nothing to do with it. */
@RequiresPtrace
class ManySleepersTest {
  /** Calls that need few descriptors; epoll_wait shows an interruption to the program. */
  private static final String CALLS =
      "futex,nanosleep,clock_nanosleep,pselect,epoll_wait,read_pipe,sigtimedwait,pause";

  private static final int THREADS_IN_EACH = 125;
  private static final int SLEEPERS = 1000;

  @ParameterizedTest
  @EnumSource(
      value = EngineChoice.class,
      names = {"POKER", "STEPWISE"})
  void noThreadOfAThousandSleepersIsStoppedButTheOneThatIsBorrowed(EngineChoice engine)
      throws IOException {
    try (Fixture fixture =
        Fixture.start(
            "blockers", "--calls", CALLS, "--threads", Integer.toString(THREADS_IN_EACH))) {
      awaitAsleep(fixture.pid());
      SortedMap<Integer, String> before = switches(fixture.pid());

      try (TargetProcess process =
          TargetProcess.attach(fixture.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
        Patch patch = process.apply(LivingTargetsTest.plan(process, fixture));
        assertThat(patch.report().orElseThrow().threads()).isGreaterThan(SLEEPERS);
      }

      awaitAsleep(fixture.pid());
      SortedMap<Integer, String> after = switches(fixture.pid());
      assertThat(after).hasSizeGreaterThan(SLEEPERS).containsOnlyKeys(before.keySet());
      // Exactly one: that the borrowed one is seen shows that a stop would be.
      assertThat(after.entrySet().stream().filter(now -> !before.entrySet().contains(now)))
          .hasSize(1);
      assertThat(fixture.counter("eintr")).isZero();
      assertThat(fixture.counter("returned")).isZero();
      assertThat(fixture.isAlive()).isTrue();
    }
  }

  /** The one that was borrowed may be on its way back into its call, the first one on its way. */
  private static void awaitAsleep(int pid) {
    for (int tid : ProcStatus.threads(pid)) {
      for (ProcStatus status = ProcStatus.read(tid);
          status != null && status.state() != 'S';
          status = ProcStatus.read(tid)) {
        Thread.onSpinWait();
      }
    }
  }

  /** By thread, how often it gave a CPU up, and how often it lost one. */
  private static ImmutableSortedMap<Integer, String> switches(int pid) throws IOException {
    SortedMap<Integer, String> counts = new TreeMap<>();
    for (int tid : ProcStatus.threads(pid)) {
      String status = Files.readString(Path.of("/proc/" + pid + "/task/" + tid + "/status"));
      counts.put(tid, status.substring(status.indexOf("voluntary_ctxt_switches:")));
    }
    return ImmutableSortedMap.copyOfSorted(counts);
  }
}
