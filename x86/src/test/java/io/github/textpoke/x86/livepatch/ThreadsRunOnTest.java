package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Maps;
import com.google.common.collect.Sets;
import com.google.common.primitives.Ints;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Which threads are stopped for a change that takes effect at once. A thread that is blocked for
 * good, or makes no system call, gives up its processor by itself only if it is stopped: the kernel
 * counts that.
 */
@RequiresPtrace
class ThreadsRunOnTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int SPINNING = 2;
  private static final int HELD = 4;

  /** For a command, and for a connection. */
  private static final int WAITING = 2;

  private static final int TICKS = 3;
  private static final int ROUNDS = 5;
  private static final Pattern SWITCHES = Pattern.compile("\nvoluntary_ctxt_switches:\\s*([0-9]+)");

  /** The poker stays, so that no thread is borrowed for another one. */
  private static final AttachOptions STAYING =
      AttachOptions.DEFAULT.withLinger(Duration.ofMinutes(1)).withLease(Duration.ofMinutes(1));

  /** Its function is {@code mov $1, %eax; ret}. */
  private static final LivePatch ONE_INSTRUCTION =
      LivePatch.parse(
          """
          {"name": "one instruction", "objects": [{"name": "",
           "functions": [{"old": "version", "new": "new_version"}]}]}""");

  private Fixture service;

  @BeforeEach
  void start() {
    service = Fixture.start("service");
    for (int i = 0; i < SPINNING; i++) {
      service.command("spin");
    }
    for (int i = 0; i < HELD; i++) {
      service.command("hold");
    }
    service.awaitCounter("spinning", SPINNING, LONG);
    service.awaitCounter("holding", HELD, LONG);
  }

  @AfterEach
  void stop() {
    try (Fixture ending = service) {
      ending.assertHealthy();
    }
  }

  private static long switches(int tid) {
    try {
      Matcher found = SWITCHES.matcher(Files.readString(Path.of("/proc/" + tid + "/status")));
      assertThat(found.find()).isTrue();
      return Long.parseLong(found.group(1));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** How often each of these threads has given up its processor. */
  private static ImmutableMap<Integer, Long> switches(Iterable<Integer> threads) {
    return Maps.toMap(threads, ThreadsRunOnTest::switches);
  }

  /** Those of these threads that do not give up their processor for some ticks. */
  private ImmutableSet<Integer> quiet(Iterable<Integer> threads) {
    ImmutableMap<Integer, Long> before = switches(threads);
    service.awaitCounter("ticks_1", service.counter("ticks_1") + TICKS, LONG);
    return ImmutableSet.copyOf(
        Maps.difference(before, switches(before.keySet())).entriesInCommon().keySet());
  }

  /** Waits until who was stopped is back in its call: it may get no CPU while others spin. */
  private void awaitQuiet(ImmutableSet<Integer> threads) {
    long deadline = System.nanoTime() + LONG.toNanos();
    while (!quiet(threads).equals(threads)) {
      assertThat(System.nanoTime() - deadline).as("%s are quiet", threads).isNegative();
    }
  }

  /**
   * Those of the program's threads that have nothing to wait for but us, when each is where it
   * stays: one that is about to wait in a call may get no CPU while others spin.
   */
  private ImmutableSet<Integer> quiet() {
    long deadline = System.nanoTime() + LONG.toNanos();
    for (; ; ) {
      ImmutableSet<Integer> quiet = quiet(Ints.asList(ProcStatus.threads(service.pid())));
      long running = quiet.stream().filter(tid -> BlockedCall.read(tid).running()).count();
      if (quiet.size() == SPINNING + HELD + WAITING && running == SPINNING) {
        return quiet;
      }
      assertThat(System.nanoTime() - deadline).as("%s, %s run", quiet, running).isNegative();
    }
  }

  /** How often any of these threads was stopped since. */
  private static long stops(ImmutableMap<Integer, Long> before) {
    return before.entrySet().stream()
        .mapToLong(thread -> switches(thread.getKey()) - thread.getValue())
        .sum();
  }

  /**
   * The threads of the program that have nothing to wait for but us.
   *
   * @param spins whether those that run, else those that are blocked
   */
  private ImmutableSet<Integer> threads(boolean spins) {
    return quiet().stream()
        .filter(tid -> BlockedCall.read(tid).running() == spins)
        .collect(ImmutableSet.toImmutableSet());
  }

  @Test
  void aThousandFunctionsThatWereLoadedStopNoThread() {
    ImmutableSet<Integer> spinning = threads(true);
    ImmutableSet<Integer> blocked = threads(false);
    assertThat(spinning).hasSize(SPINNING);
    assertThat(blocked).hasSize(HELD + WAITING);
    try (TargetProcess process = TargetProcess.attach(service.pid(), STAYING)) {
      ImmutableMap<Integer, Long> attached = switches(Sets.union(spinning, blocked));
      LoadedPatch thousand = LivePatches.in(process).load(Fixture.program("service_thousand.so"));
      // Whom the poker was borrowed from is among them.
      assertThat(stops(attached)).isPositive();
      awaitQuiet(attached.keySet());
      ImmutableMap<Integer, Long> loaded = switches(attached.keySet());
      thousand.enable();
      assertThat(stops(loaded)).isZero();

      ImmutableMap<Integer, Long> blockedBefore = switches(blocked);
      for (int i = 0; i < ROUNDS; i++) {
        ImmutableMap<Integer, Long> enabled = switches(spinning);
        thousand.disable();
        assertThat(stops(enabled)).isZero();
        thousand.enable();
        // Led anew: several instructions are displaced, so nobody may stand between them.
        assertThat(switches(spinning))
            .allSatisfy(
                (tid, count) -> assertThat(count).isLessThanOrEqualTo(enabled.get(tid) + 1));
      }
      assertThat(stops(blockedBefore)).isZero();
      thousand.disable();
    }
  }

  @Test
  void whereAFunctionBeginsWithOneLongInstructionNoThreadIsStopped() {
    ImmutableSet<Integer> quiet = quiet();
    try (TargetProcess process = TargetProcess.attach(service.pid(), STAYING)) {
      LoadedPatch one =
          Descriptions.load(
              LivePatches.in(process), Fixture.program("service_order.so"), ONE_INSTRUCTION);
      one.enable();
      one.disable();

      // Whom the poker was borrowed from waits again.
      awaitQuiet(quiet);
      ImmutableMap<Integer, Long> before = switches(quiet);
      for (int i = 0; i < ROUNDS; i++) {
        one.enable();
        one.disable();
      }
      assertThat(stops(before)).isZero();
    }
  }
}
