package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;

/** The fixture {@code syncer} with one thread. */
final class Syncing {
  static final Duration TIMEOUT = Duration.ofSeconds(60);

  private Syncing() {}

  static Fixture start() {
    return Fixture.start("syncer", "--threads", "1");
  }

  /** Two more, so that one of them began after now. */
  static void await(Fixture syncer, String counter) {
    syncer.awaitCounter(counter, syncer.counter(counter) + 2, TIMEOUT);
  }

  static void assertEachCallFails(Fixture syncer) {
    await(syncer, "failed");
    long ok = syncer.counter("ok");
    await(syncer, "failed");
    assertThat(syncer.counter("ok")).isEqualTo(ok);
  }

  /** No call fails, and no patch stands. */
  static void assertIsAsBefore(Fixture syncer) {
    await(syncer, "ok");
    long failed = syncer.counter("failed");
    await(syncer, "ok");
    assertThat(syncer.counter("failed")).isEqualTo(failed);
    syncer.assertHealthy();
    try (TargetProcess process = TargetProcess.attach(syncer.pid())) {
      assertThat(process.patches()).isEmpty();
    }
  }
}
