package io.github.textpoke.x86.livepatch;

import static java.util.stream.Collectors.toSet;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The program ends, or becomes another one, while a thread of it keeps a change waiting. */
@RequiresPtrace
class TargetEndsInTransitionTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final long LOOK_NANOS = 1_000_000;

  private Fixture service;

  /** How it ends. */
  enum End {
    EXIT(fixture -> fixture.command("exit")),
    KILL(fixture -> fixture.signal("SIGKILL")),
    EXEC(fixture -> fixture.command("exec"));

    private final Consumer<Fixture> doing;

    End(Consumer<Fixture> doing) {
      this.doing = doing;
    }
  }

  @BeforeEach
  void start() {
    service = Fixture.start("service");
  }

  @AfterEach
  void stop() {
    service.close();
  }

  @ParameterizedTest
  @EnumSource
  void betweenTwoTries(End end) {
    service.command("hold");
    service.awaitCounter("holding", 1, LONG);
    Set<ProcessHandle> before = others();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process, LoadOptions.DEFAULT.withPatience(LONG));
      LoadedPatch patch = Descriptions.loadHoldAndTick(patches, Fixture.program("service_hold.so"));

      assertFails(
          end,
          () ->
              patch.enable(
                  (tries, blockers) -> {
                    if (tries == 1) {
                      assertThat(blockers).hasSize(1);
                      end.doing.accept(service);
                    }
                  }));

      assertFails(end, patch::enable);
    }
    assertNothingOfOursIsLeft(end, before);
  }

  @ParameterizedTest
  @EnumSource
  void whileThreadsAreHeldAtTheGates(End end) {
    service.command("spin");
    service.awaitCounter("spinning", 1, LONG);
    Set<ProcessHandle> before = others();
    try (TargetProcess process = TargetProcess.attach(service.pid())) {
      LivePatches patches = LivePatches.in(process, LoadOptions.DEFAULT.withPatience(LONG));
      LoadedPatch patch = patches.load(Fixture.program("service_spin.so"));
      CompletableFuture<Void> enabling = CompletableFuture.runAsync(patch::enable);

      Turns.awaitHeld(service.pid(), LONG);
      end.doing.accept(service);

      assertThat(enabling)
          .failsWithin(LONG)
          .withThrowableThat()
          .havingCause()
          .satisfies(failure -> assertNames(failure, end));
    }
    assertNothingOfOursIsLeft(end, before);
  }

  private void assertFails(End end, ThrowingCallable call) {
    assertThatThrownBy(call).satisfies(failure -> assertNames(failure, end));
  }

  private void assertNames(Throwable failure, End end) {
    if (end == End.EXEC) {
      assertThat(failure).isInstanceOf(TargetExecedException.class);
    } else {
      assertThat(failure).isInstanceOfAny(TargetGoneException.class, NoSuchProcessException.class);
    }
    assertThat(failure.getMessage()).containsPattern("process " + service.pid() + "\\b");
  }

  /** All that this JVM has started, and what those have, but for the program itself. */
  private Set<ProcessHandle> others() {
    return ProcessHandle.current()
        .descendants()
        .filter(other -> other.pid() != service.pid())
        .collect(toSet());
  }

  private void assertNothingOfOursIsLeft(End end, Set<ProcessHandle> before) {
    if (end == End.EXEC) {
      awaitUntraced();
      assertThat(service.isAlive()).isTrue();
    } else {
      String status = service.awaitExit(LONG).toString();
      assertThat(status).contains(end == End.EXIT ? "7" : "SIGKILL");
    }
    awaitOnly(before);
  }

  /** A poker of ours ends by itself, some time after the program. */
  private void awaitOnly(Set<ProcessHandle> before) {
    long deadline = System.nanoTime() + LONG.toNanos();
    for (Set<ProcessHandle> now = others(); !before.containsAll(now); now = others()) {
      assertThat(System.nanoTime() - deadline).as("%s beside %s", now, before).isNegative();
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  /** One thread that sleeps, and no tracer. */
  private void awaitUntraced() {
    long deadline = System.nanoTime() + LONG.toNanos();
    // No event tells of an exec, or that a tracer lets go.
    for (; ; ) {
      ProcStatus now = ProcStatus.read(service.pid());
      assertThat(now).isNotNull();
      if (now.name().equals("sleep")
          && now.state() == 'S'
          && now.tracer() == 0
          && now.threads() == 1) {
        return;
      }
      assertThat(System.nanoTime() - deadline).as("%s", now).isNegative();
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }
}
