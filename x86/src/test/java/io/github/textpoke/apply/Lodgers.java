package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.x86.plan.DisplacingPlan;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** The {@code lodgers} program, whose functions are displaced. */
final class Lodgers implements AutoCloseable {
  static final Duration SOON = Duration.ofSeconds(30);

  /**
   * Longer than a busy machine takes to end a program in a pause; where that executes another one,
   * the poker waits so long for us.
   */
  private static final Duration LEASE = Duration.ofSeconds(5);

  final Fixture fixture;
  final TargetProcess process;
  final DisplacingTarget target;

  private Lodgers(Fixture fixture, Interference interference) {
    this.fixture = fixture;
    this.process =
        TargetProcess.attach(
            fixture.pid(), AttachOptions.DEFAULT.withPatience(SOON).withLease(LEASE), interference);
    this.target =
        DisplacingTarget.of(process, Fixture.program("lodgers"), "plain", fixture.address("room"));
  }

  static Lodgers start(String... arguments) {
    return of(Fixture.start("lodgers", arguments), Interference.NONE);
  }

  /** Attaches. */
  static Lodgers of(Fixture fixture, Interference interference) {
    try {
      return new Lodgers(fixture, interference);
    } catch (RuntimeException e) {
      fixture.close();
      throw e;
    }
  }

  /** Absolute address of where a function is to be displaced. */
  long site(String function) {
    return List.of("blocked", "zone").contains(function)
        ? target.address("AT_" + function)
        : target.entry(function);
  }

  /** Displaces it by a jump to {@code to}, another function. */
  PatchPlan jump(String function, String to) {
    return target.displace(function, site(function), target.address(to)).plan();
  }

  /** Displaces it by a jump to the copy. */
  DisplacingPlan toCopy(String function) {
    return target.toCopy(function, site(function));
  }

  /** Applies and reverts, with some calls by every worker between. */
  void toggle(PatchPlan plan, int times) {
    process.toggle(plan, times, Duration.ZERO, (nanos, window, traps, parked) -> true);
    awaitMore("calls", 1_000);
    fixture.assertHealthy();
  }

  void awaitMore(String counter, long more) {
    fixture.awaitCounter(counter, fixture.counter(counter) + more, SOON);
  }

  /** Has all that call it stay where they call; they are {@code count}. */
  void stay(int count) {
    fixture.command("stay");
    fixture.awaitCounter("lodging", count, SOON);
  }

  /** Lets all go on. */
  void leave() {
    fixture.command("leave");
    await(() -> fixture.counter("lodging") == 0, "all to leave");
  }

  /** Holds worker 0 in a handler that has interrupted it from {@code from} to before {@code to}. */
  void hold(long from, long to, String how) {
    long base = target.address("plain");
    fixture.command("hold %d %d %s".formatted(from - base, to - base, how));
    fixture.awaitCounter("held", 1, SOON);
  }

  void release() {
    fixture.command("release");
    await(() -> fixture.counter("held") == 0, "the handler to return");
  }

  int worker(int index) {
    return (int) fixture.counter("worker_id_" + index);
  }

  /** Until a thread waits in a system call from which it goes on at {@code address}. */
  void awaitBlockedAt(int tid, long address) {
    await(
        () -> {
          BlockedCall where = BlockedCall.read(tid);
          return where != null && !where.running() && where.instructionPointer() == address;
        },
        "thread %s to wait before 0x%x".formatted(tid, address));
  }

  CodeBytes bytes(String function, int length) {
    return target.read(site(function), length);
  }

  static void await(BooleanSupplier condition, String what) {
    long deadline = System.nanoTime() + SOON.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - deadline).as("waited for %s", what).isNegative();
      LockSupport.parkNanos(100_000);
    }
  }

  @Override
  public void close() {
    process.close();
    fixture.close();
  }
}
