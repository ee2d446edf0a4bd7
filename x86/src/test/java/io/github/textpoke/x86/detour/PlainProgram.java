package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.fixtures.Fixture;
import java.time.Duration;

/** The {@code plain} program, and what its workers have seen. */
final class PlainProgram implements AutoCloseable {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);

  private final int workers;
  final Fixture fixture;

  PlainProgram(int workers) {
    this(workers, "plain");
  }

  /**
   * @param function that the workers call
   */
  PlainProgram(int workers, String function) {
    this.workers = workers;
    this.fixture =
        Fixture.start("plain", "--threads", Integer.toString(workers), "--function", function);
  }

  int pid() {
    return fixture.pid();
  }

  long address(String name) {
    return fixture.address(name);
  }

  /** Has {@code around} call this; calls that begin now do. */
  void setOriginal(long address) {
    long before = fixture.counter("originals");
    fixture.command("original " + Long.toHexString(address));
    fixture.awaitCounter("originals", before + 1, TIMEOUT);
  }

  /** How often the function has returned {@code more} than its argument. */
  long results(int more) {
    long sum = 0;
    for (int i = 0; i < workers; i++) {
      sum += fixture.counter("result_%02d_%d".formatted(more, i));
    }
    return sum;
  }

  /** Waits until calls that begin now have returned {@code more} than their argument. */
  void awaitResult(int more) {
    for (int i = 0; i < workers; i++) {
      String name = "result_%02d_%d".formatted(more, i);
      fixture.awaitCounter(name, fixture.counter(name) + 2, TIMEOUT);
    }
  }

  /** Every worker goes through a call that began now. */
  void awaitCalls() {
    for (int i = 0; i < workers; i++) {
      String name = "calls_" + i;
      fixture.awaitCounter(name, fixture.counter(name) + 2, TIMEOUT);
    }
  }

  /** All calls that begin now return {@code more} than their argument. */
  void assertResult(int more) {
    awaitCalls();
    long others = 0;
    for (int result = 1; result < 16; result++) {
      others += result == more ? 0 : results(result);
    }
    awaitCalls();
    for (int result = 1; result < 16; result++) {
      others -= result == more ? 0 : results(result);
    }
    assertThat(others).as("other results than %s", more).isZero();
  }

  void assertRight() {
    fixture.assertHealthy();
    for (int i = 0; i < workers; i++) {
      assertThat(fixture.counter("wrong_" + i)).isZero();
    }
  }

  @Override
  public void close() {
    fixture.close();
  }
}
