package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.process.MemoryMap;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Needs the right to trace the programs that it starts. */
class ReturnInLiveProcessTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int THREADS = 3;

  private static Fixture syncer() {
    return Fixture.start("syncer", "--threads", Integer.toString(THREADS));
  }

  private static long sum(Fixture fixture, String counter) {
    long sum = 0;
    for (int i = 0; i < THREADS; i++) {
      sum += fixture.counter(counter + "_" + i);
    }
    return sum;
  }

  /** Two more of each thread, so that one of them began after now. */
  private static void await(Fixture fixture, String counter) {
    for (int i = 0; i < THREADS; i++) {
      String name = counter + "_" + i;
      fixture.awaitCounter(name, fixture.counter(name) + 2, TIMEOUT);
    }
  }

  private static void assertNoneWrong(Fixture fixture) {
    fixture.assertHealthy();
    assertThat(sum(fixture, "wrong")).isZero();
  }

  @Test
  void aLibraryFunctionFailsWithErrnoInEveryThreadUntilItIsReverted() {
    try (Fixture fixture = syncer();
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      Detour failing =
          Detours.in(process)
              .at("libc.so.6:fsync")
              .returning(ReturnOverride.returning(-1).withErrno("EIO"));
      await(fixture, "failed");
      long ok = sum(fixture, "ok");
      await(fixture, "failed");
      assertThat(sum(fixture, "ok")).isEqualTo(ok);
      failing.revert();
      await(fixture, "ok");
      long failed = sum(fixture, "failed");
      await(fixture, "ok");
      assertThat(sum(fixture, "failed")).isEqualTo(failed);
      assertNoneWrong(fixture);
    }
  }

  @Test
  void noMoreCallsFailThanWasSaid() {
    try (Fixture fixture = syncer();
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      Detours.in(process)
          .at("libc.so.6:fsync")
          .returning(ReturnOverride.returning(-1).withErrno("EIO").everyNth(3).atMost(100));
      fixture.awaitCounter("calls_0", fixture.counter("calls_0") + 1000, TIMEOUT);
      await(fixture, "ok");
      assertThat(sum(fixture, "failed")).isEqualTo(100);
      assertNoneWrong(fixture);
    }
  }

  @Test
  void anOverrideEndsByItselfWhenItsTimeIsOver() {
    try (Fixture fixture = syncer()) {
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        Detours.in(process)
            .at("libc.so.6:fsync")
            .returning(
                ReturnOverride.returning(-1).withErrno("EIO").lasting(Duration.ofSeconds(2)));
      }
      // Nobody of ours is there any more. Failures are not awaited: their time may be over.
      await(fixture, "ok");
      long failed = sum(fixture, "failed");
      assertThat(failed).isPositive();
      await(fixture, "ok");
      assertThat(sum(fixture, "failed")).isEqualTo(failed);
      assertThat(TargetProcess.status(fixture.pid()).patches())
          .extracting(PatchStatus::state)
          .containsExactly(PatchStatus.State.APPLIED);
      try (TargetProcess process = TargetProcess.attach(fixture.pid())) {
        process.patches().get(0).revert();
      }
      await(fixture, "ok");
      assertNoneWrong(fixture);
    }
  }

  @Test
  void manyOverridesOneAfterTheOtherNeedNoMoreMemoryThanOne() {
    try (Fixture fixture = syncer();
        TargetProcess process = TargetProcess.attach(fixture.pid())) {
      Detours detours = Detours.in(process);
      // Counters of their own, so that none takes over the memory of one before.
      for (int i = 0; i < 400; i++) {
        detours
            .at("libc.so.6:fsync")
            .returning(ReturnOverride.returning(-1).withErrno("EIO").atMost(3))
            .revert();
      }
      await(fixture, "ok");
      assertNoneWrong(fixture);
      assertThat(MemoryMap.read(fixture.pid()).mappings())
          .filteredOn(mapping -> mapping.path().startsWith("/memfd:textpoke-out-of-line"))
          .hasSize(2);
    }
  }
}
