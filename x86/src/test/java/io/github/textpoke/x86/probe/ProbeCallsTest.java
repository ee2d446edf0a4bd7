package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.livepatch.LivePatches;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import io.github.textpoke.x86.livepatch.PatchState;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Probes that call a function of a live patch. Needs the right to trace what it starts. */
final class ProbeCallsTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int THREADS = 4;

  private static Fixture captured(String... arguments) {
    String[] all =
        Stream.concat(Stream.of("--threads", Integer.toString(THREADS)), Stream.of(arguments))
            .toArray(String[]::new);
    return Fixture.start("captured", all);
  }

  private static LoadedPatch hook(TargetProcess process) {
    return LivePatches.in(process).load(Fixture.program("captured_hook.so"));
  }

  private static long word(TargetProcess process, LoadedPatch patch, String symbol) {
    return ByteBuffer.wrap(process.read(patch.address(symbol), Long.BYTES).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN)
        .getLong();
  }

  private static void awaitStopped(Fixture program) {
    program.awaitCounter("stopped", THREADS, TIMEOUT);
    program.assertHealthy();
  }

  /** None is in a call that began before. */
  private static void awaitEachWorker(Fixture program) {
    for (int i = 0; i < THREADS; i++) {
      String calls = "calls_" + i;
      program.awaitCounter(calls, program.counter(calls) + 2, TIMEOUT);
    }
  }

  private static long sumBelow(long number) {
    return number * (number - 1) / 2;
  }

  @Test
  void theFunctionIsToldOfEachCallAndChangesNothing() {
    try (Fixture program = captured("--alarms", "200");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      LoadedPatch hook = hook(process);
      Probe probe = Probes.in(process).at("captured:six", ProbeAction.calling(hook, "on_call"));
      probe.arm();
      program.command("go");
      program.awaitCounter("handled", 1_000, TIMEOUT);
      program.command("stop");
      awaitStopped(program);
      assertThat(program.counter("wrong")).isZero();
      long calls = program.counter("calls") + program.counter("handled");
      assertThat(probe.snapshot().total()).isEqualTo(calls);
      assertThat(word(process, hook, "hook_calls")).isEqualTo(calls);
      assertThat(word(process, hook, "hook_wrong")).isZero();
      assertThat(word(process, hook, "hook_sum"))
          .isEqualTo(
              LongStream.range(0, THREADS)
                  .map(
                      i ->
                          sumBelow(program.counter("calls_" + i))
                              + sumBelow(program.counter("handled_" + i)))
                  .sum());
    }
  }

  @Test
  void theLivePatchStaysAsLongAsTheProbeIsArmedAndTheProbeIsNotArmedWithoutIt() {
    try (Fixture program = captured();
        TargetProcess process = TargetProcess.attach(program.pid())) {
      LoadedPatch hook = hook(process);
      Probe probe = Probes.in(process).at("captured:six", ProbeAction.calling(hook, "on_call"));
      probe.arm();
      program.command("go");
      program.awaitCounter("calls", 1_000, TIMEOUT);
      assertThat(hook.unload())
          .hasValueSatisfying(
              holder ->
                  assertThat(holder)
                      .contains("call of on_call of live patch " + hook.id())
                      .endsWith("calls it"));
      assertThat(hook.state()).isEqualTo(PatchState.REGISTERED);
      long before = program.counter("calls");
      program.awaitCounter("calls", before + 1_000, TIMEOUT);
      probe.disarm();
      awaitEachWorker(program);
      assertThat(hook.unload()).isEmpty();
      assertThatThrownBy(probe::arm).isInstanceOf(WrongStateException.class);
      program.awaitCounter("calls", program.counter("calls") + 1_000, TIMEOUT);
      program.command("stop");
      awaitStopped(program);
      assertThat(program.counter("wrong")).isZero();
    }
  }

  @Test
  void itComesAndGoesWhileTheProgramRuns() {
    try (Fixture program = captured("--alarms", "500");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      LoadedPatch hook = hook(process);
      Probe probe = Probes.in(process).at("captured:six", ProbeAction.calling(hook, "on_call"));
      program.command("go");
      for (int i = 0; i < 30; i++) {
        probe.arm();
        program.awaitCounter("calls", program.counter("calls") + 500, TIMEOUT);
        probe.disarm();
      }
      program.command("stop");
      awaitStopped(program);
      assertThat(program.counter("wrong")).isZero();
      assertThat(word(process, hook, "hook_wrong")).isZero();
      assertThat(word(process, hook, "hook_calls"))
          .isEqualTo(probe.snapshot().total())
          .isGreaterThan(1_000);
    }
  }

  @Test
  void itIsToldOnlyOfCallsThatAreMeant() {
    try (Fixture program = captured("--calls", "2000");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      LoadedPatch hook = hook(process);
      ProbeAction action =
          ProbeAction.calling(hook, "on_call").when(Argument.of(2).isLessThan(500));
      Probe probe = Probes.in(process).at("captured:six", action);
      probe.arm();
      program.command("go");
      awaitStopped(program);
      assertThat(program.counter("wrong")).isZero();
      assertThat(word(process, hook, "hook_calls")).isEqualTo(THREADS * 500);
      assertThat(probe.snapshot().total()).isEqualTo(THREADS * 500);
    }
  }

  @Test
  void whatItWritesToTheStructTheProbedFunctionGets() {
    try (Fixture program = captured("--calls", "100");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probe probe =
          Probes.in(process).at("captured:six", ProbeAction.calling(hook(process), "on_call_add"));
      probe.arm();
      program.command("go");
      program.awaitCounter("stopped", THREADS, TIMEOUT);
      assertThat(program.counter("wrong")).isEqualTo(THREADS * 100);
    }
  }

  @Test
  void whatIsNotThereIsNotCalled(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("hook.so");
    Files.copy(Fixture.program("captured_hook.so"), file);
    try (Fixture program = captured();
        Fixture other = captured();
        TargetProcess process = TargetProcess.attach(program.pid());
        TargetProcess another = TargetProcess.attach(other.pid())) {
      LoadedPatch hook = LivePatches.in(process).load(file);
      assertThatThrownBy(
              () ->
                  Probes.in(process)
                      .at("captured:six", ProbeAction.calling(hook, "no_such_function")))
          .isInstanceOf(NoSuchSymbolException.class);
      ProbeAction action = ProbeAction.calling(hook, "on_call");
      assertThatThrownBy(() -> Probes.in(another).at("captured:six", action))
          .isInstanceOf(WrongStateException.class)
          .hasMessageContaining("is in process " + program.pid());
      byte[] bytes = Files.readAllBytes(file);
      // A function's first byte, and the file's name is the same.
      int offset = indexOfCode(bytes, process, hook);
      bytes[offset] ^= 1;
      Files.write(file, bytes);
      assertThatThrownBy(() -> Probes.in(process).at("captured:six", action))
          .isInstanceOf(WrongStateException.class)
          .hasMessageContaining("has changed");
      Files.delete(file);
      assertThatThrownBy(() -> Probes.in(process).at("captured:six", action))
          .isInstanceOf(WrongStateException.class)
          .hasMessageContaining("can't be read");
    }
  }

  private static int indexOfCode(byte[] file, TargetProcess process, LoadedPatch hook) {
    byte[] code = process.read(hook.address("on_call"), 32).toByteArray();
    for (int i = 0; i + code.length <= file.length; i++) {
      if (ByteBuffer.wrap(file, i, code.length).equals(ByteBuffer.wrap(code))) {
        return i;
      }
    }
    throw new AssertionError("the function is not in the file");
  }
}
