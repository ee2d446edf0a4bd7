package io.github.textpoke.x86.target;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.RandomProgram.Model;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the emitted code does is what the Java that emits it says; run by an interpreter. */
@RequiresZydis
final class EmitterTest {
  private static final int FIRST = 0x400;
  private static final int LAST = 0x800;

  private final Assembler assembler = new Assembler();
  private final Emitter emitter = new Emitter(assembler, FIRST, LAST);
  private final List<long[]> calls = new ArrayList<>();

  private Interpreter interpreter() {
    byte[] bytes = assembler.toByteArray();
    return new Interpreter(
        EmittedCode.of(CodeBytes.copyOf(bytes, 0, bytes.length)),
        call -> {
          calls.add(call);
          return -4;
        });
  }

  private long result(Runnable body) {
    Routine routine = emitter.routine("test", "", ImmutableList.of(), body);
    return interpreter().run(assembler.offset(routine.entry()));
  }

  @Test
  void aRoutineThatGivesNothingReturnsZero() {
    assertThat(result(() -> {})).isZero();
    Slot slot = emitter.variable();
    assertThat(result(() -> emitter.set(slot, 5))).isZero();
  }

  @Test
  void aRoutineReturnsWhatItGivesFirst() {
    assertThat(
            result(
                () -> {
                  emitter.give(7);
                  emitter.give(8);
                }))
        .isEqualTo(7);
  }

  @Test
  void argumentsAreComputedBeforeTheCall() {
    Slot a = emitter.variable();
    Slot b = emitter.variable();
    Routine difference =
        emitter.routine("difference", "", ImmutableList.of(a, b), () -> emitter.give(a.minus(b)));
    Slot x = emitter.variable();
    assertThat(
            result(
                () -> {
                  emitter.set(x, 100);
                  emitter.give(difference.of(x, Value.of(1)).plus(difference.of(Value.of(10), x)));
                }))
        .isEqualTo(9);
    assertThatExceptionOfType(IllegalArgumentException.class).isThrownBy(() -> difference.of(a));
  }

  @Test
  void systemCallsGetTheirArgumentsInOrder() {
    Slot slot = emitter.variable();
    long answer =
        result(
            () -> {
              emitter.set(slot, 3);
              emitter.give(
                  Emitter.call(
                      99,
                      slot.plus(1),
                      slot,
                      new Place(16),
                      Value.of(-1),
                      slot.times(2).minus(slot),
                      slot.address().at(0)));
            });
    assertThat(answer).isEqualTo(-4);
    assertThat(calls).containsExactly(new long[] {99, 4, 3, Interpreter.MEMORY + 16, -1, 3, 3});
    assertThat(emitter.systemCalls()).containsExactly(99);
  }

  @ParameterizedTest
  @CsvSource({"0,0", "1,0", "5,10", "100,4950"})
  void countsUpToTheCount(int count, int sum) {
    Slot index = emitter.variable();
    Slot total = emitter.variable();
    assertThat(
            result(
                () -> {
                  emitter.set(total, 0);
                  emitter.times(
                      index, Value.of(count), () -> emitter.set(total, total.plus(index)));
                  emitter.give(total);
                }))
        .isEqualTo(sum);
  }

  @Test
  void leavesTheInnermostLoop() {
    Slot outer = emitter.variable();
    Slot inner = emitter.variable();
    assertThat(
            result(
                () -> {
                  emitter.set(inner, 0);
                  emitter.times(
                      outer,
                      Value.of(5),
                      () ->
                          emitter.loop(
                              () -> {
                                emitter.add(inner, 1);
                                emitter.when(inner.has(1), emitter::leave);
                              }));
                  emitter.give(inner);
                }))
        .isEqualTo(9);
  }

  @Test
  void aShortSlotIsReadAndWrittenAlone() {
    Slot whole = emitter.variable();
    Slot half = new Slot(whole.offset() + 2, 2);
    assertThat(
            result(
                () -> {
                  emitter.set(whole, -1);
                  emitter.set(half, 0x1234_5678);
                  emitter.give(whole.minus(half));
                }))
        .isEqualTo(0xffff_ffff_5678_ffffL - 0x5678);
  }

  @Test
  void thereIsRoomForSoManyVariables() {
    for (int offset = FIRST; offset < LAST; offset += Long.BYTES) {
      emitter.variable();
    }
    assertThatExceptionOfType(IllegalStateException.class).isThrownBy(emitter::variable);
  }

  /** Programs of all statements and values, compared with what Java makes of them. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void randomProgramsDoWhatTheySay(long seed) {
    for (int i = 0; i < 100; i++) {
      Assembler target = new Assembler();
      RandomProgram program = new RandomProgram(seed * 1000 + i, target);
      byte[] bytes = target.toByteArray();
      Model model = new Model(seed);
      Interpreter interpreter =
          new Interpreter(
              EmittedCode.of(CodeBytes.copyOf(bytes, 0, bytes.length)), Model::systemCall);
      interpreter.memory.put(0, model.memory.array(), 0, RandomProgram.END);
      long expected = program.run(model);
      long actual = interpreter.run(target.offset(program.entry()));
      assertThat(actual).as("seed %d program %d", seed, i).isEqualTo(expected);
      for (int at = 0; at < RandomProgram.END; at += Long.BYTES) {
        if (!program.isPrivate(at)) {
          assertThat(interpreter.memory.getLong(at))
              .as("seed %d program %d at %x", seed, i, at)
              .isEqualTo(model.memory.getLong(at));
        }
      }
    }
  }
}
