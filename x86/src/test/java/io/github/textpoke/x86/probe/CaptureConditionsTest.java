package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.probe.CallCondition.Comparison;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * All conditions at once, on one function: each is a probe of its own, which counts. How often each
 * holds is computed from the calls that the program makes. Needs the right to trace.
 */
final class CaptureConditionsTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int CALLS = 3_000;

  /** As the program has it. */
  private static long mix(long x) {
    return (x ^ x >>> 29) * 0xbf58476d1ce4e5b9L;
  }

  private static long[] registers(long number) {
    long[] registers = {0, number, mix(number), 0, 0, 0};
    for (int i = 3; i < registers.length; i++) {
      registers[i] = mix(registers[i - 1]);
    }
    return registers;
  }

  private static boolean holds(CallCondition condition, long[] registers) {
    return condition.tests().stream()
        .allMatch(
            test -> {
              Argument argument = test.argument();
              long left = argument.in(registers[argument.number() - 1]);
              int order =
                  argument.type().isSigned()
                      ? Long.compare(left, test.value())
                      : Long.compareUnsigned(left, test.value());
              return switch (test.comparison()) {
                case EQUAL -> order == 0;
                case NOT_EQUAL -> order != 0;
                case LESS -> order < 0;
                case AT_MOST -> order <= 0;
                case GREATER -> order > 0;
                case AT_LEAST -> order >= 0;
              };
            });
  }

  /** For each type, argument and comparison, with a value that some calls have. */
  private static List<CallCondition> conditions() {
    List<CallCondition> conditions = new ArrayList<>();
    int turn = 0;
    for (IntegerType type : IntegerType.values()) {
      for (Comparison comparison : Comparison.values()) {
        Argument argument = Argument.of(turn++ % Argument.MOST + 1).as(type);
        long value = argument.in(registers(CALLS / 2)[argument.number() - 1]);
        conditions.add(CallCondition.of(argument, comparison, value));
      }
    }
    conditions.add(Argument.of(3).hasAnyOf(0x8000_0000_0000_0001L));
    conditions.add(Argument.of(4).as(IntegerType.UINT16).masked(0xf0).isEqualTo(0x50));
    conditions.add(Argument.of(5).masked(0xffff_ffff_0000L).isGreaterThan(0x7fff_ffff_0000L));
    conditions.add(Argument.of(2).isAtLeast(100).and(Argument.of(2).isLessThan(200)));
    conditions.add(
        Argument.of(2)
            .hasAnyOf(1)
            .and(Argument.of(6).isLessThan(0))
            .and(Argument.of(4).hasAnyOf(6)));
    return conditions;
  }

  @Test
  void eachConditionHoldsForTheCallsThatItIsFor() {
    try (Fixture program =
            Fixture.start("captured", "--threads", "1", "--calls", Integer.toString(CALLS));
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Probes probes = Probes.in(process, new ProbePool(64, 2));
      Map<CallCondition, Probe> armed = new LinkedHashMap<>();
      for (CallCondition condition : conditions()) {
        Probe probe = probes.at("captured:six", ProbeAction.count().when(condition));
        probe.arm();
        armed.put(condition, probe);
      }
      program.command("go");
      program.awaitCounter("stopped", 1, TIMEOUT);
      program.assertHealthy();
      assertThat(program.counter("wrong")).isZero();
      armed.forEach(
          (condition, probe) ->
              assertThat(probe.snapshot().total())
                  .as("%s", condition)
                  .isEqualTo(
                      IntStream.range(0, CALLS)
                          .filter(number -> holds(condition, registers(number)))
                          .count()));
    }
  }

  @Test
  void theConditionIsPartOfTheLabelThatStatusShows() {
    ProbeAction action =
        ProbeAction.capture(Argument.of(1), Argument.of(2).as(IntegerType.UINT32))
            .withReturned(IntegerType.INT32)
            .when(Argument.of(1).isNotEqualTo(-1).and(Argument.of(3).hasAnyOf(0x40)));
    assertThat(action).hasToString("capture arg1,arg2:u32,ret:i32 when arg1!=-1 && arg3&0x40!=0");
  }

  @Test
  void whatNoArgumentCanBeIsNoCondition() {
    Argument small = Argument.of(1).as(IntegerType.UINT8);
    assertThatThrownBy(() -> small.isEqualTo(-1)).hasMessageContaining("arg1:u8 is never -1");
    assertThatThrownBy(() -> small.isLessThan(256)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> Argument.of(7)).isInstanceOf(IllegalArgumentException.class);
  }
}
