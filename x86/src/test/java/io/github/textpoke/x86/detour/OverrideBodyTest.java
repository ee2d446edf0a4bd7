package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.decode.ZydisDecoder;
import io.github.textpoke.x86.detour.OverrideBody.Places;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a body is made of; what it does is for {@link RunningBodiesTest}. */
final class OverrideBodyTest {
  private static final long BODY = 0x5555_5570_0000L;
  private static final long DATA = 0x5555_5580_0000L;
  private static final long ORIGINAL = 0x5555_5570_4000L;
  private static final Places PLACES =
      new Places(
          0x5555_5555_1000L,
          BODY,
          DATA,
          ORIGINAL,
          0x7fff_f7c0_2000L,
          0x7fff_f7fc_1000L,
          1_000_000_000L);

  private static final ReturnOverride ALL_CONDITIONS =
      ReturnOverride.returningInOrder(3, 5, 7)
          .withErrno("EIO")
          .everyNth(3)
          .withProbability(0.25, 42)
          .atMost(2)
          .lasting(Duration.ofSeconds(1));

  /** Each condition with and without each other, and all values and errno. */
  static Stream<ReturnOverride> overrides() {
    List<ReturnOverride> all = new ArrayList<>();
    for (int choice = 0; choice < 64; choice++) {
      ReturnOverride override =
          (choice & 1) == 0
              ? ReturnOverride.returning(-1)
              : ReturnOverride.returningInOrder(1L << 40, -2, 0);
      override = (choice & 2) == 0 ? override : override.withErrno(5);
      override = (choice & 4) == 0 ? override : override.everyNth(1L << 33);
      override = (choice & 8) == 0 ? override : override.withProbability(0.5, 1);
      override = (choice & 16) == 0 ? override : override.atMost(10);
      all.add((choice & 32) == 0 ? override : override.lasting(Duration.ofSeconds(1)));
    }
    return all.stream();
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, 0, 1, Long.MIN_VALUE, 0xffff_ffffL, 1L << 40})
  void anOverrideWithoutConditionsIsShort(long value) {
    OverrideBody body = OverrideBody.of(ReturnOverride.returning(value), PLACES);

    assertThat(read(body)).hasSize(3);
    assertThat(body.code().length()).isLessThanOrEqualTo(15);
    assertThat(body.data()).isEqualTo(CodeBytes.EMPTY);
  }

  @Test
  void whatIsAlwaysTrueIsNoCondition() {
    assertThat(
            OverrideBody.of(ReturnOverride.returning(7).everyNth(1).withProbability(1, 42), PLACES))
        .isEqualTo(OverrideBody.of(ReturnOverride.returning(7), PLACES));
  }

  @RequiresZydis
  @ParameterizedTest
  @MethodSource("overrides")
  void bothDecodersReadABodyFromTheFirstByteToTheLast(ReturnOverride override) {
    OverrideBody body = OverrideBody.of(override, PLACES);
    List<Instruction> code = read(body);

    assertThat(code.get(0).flow()).isEqualTo(Flow.LANDING_PAD);
    Instruction last = code.get(code.size() - 1);
    if (override.isUnconditional()) {
      assertThat(last.flow()).isEqualTo(Flow.RETURN);
    } else {
      assertThat(last.flow()).isEqualTo(Flow.JUMP);
      assertThat(last.directTarget()).hasValue(ORIGINAL);
    }
    assertThat(body.code().length()).isLessThanOrEqualTo(OverrideBody.roomForCode(override));
    assertThat(body.data().length()).isEqualTo(OverrideData.size(override));
  }

  @RequiresZydis
  @ParameterizedTest
  @MethodSource("overrides")
  void noBodyHasALoopAndCallsAreNoBranches(ReturnOverride override) {
    for (Instruction each : read(OverrideBody.of(override, PLACES))) {
      assertThat(each.flow())
          .as("%s", each)
          .isIn(
              Flow.LANDING_PAD,
              Flow.NEXT,
              Flow.INDIRECT_CALL,
              Flow.CONDITIONAL_JUMP,
              Flow.JUMP,
              Flow.RETURN);
      if (each.directTarget().isPresent()) {
        assertThat(each.directTarget().getAsLong()).as("forwards").isGreaterThan(each.address());
      }
    }
  }

  @RequiresZydis
  @Test
  void aBodyReadsAsItsListing() {
    OverrideBody body = OverrideBody.of(ReturnOverride.returning(-1).atMost(10), PLACES);

    assertThat(text(body))
        .isEqualTo(
            """
            endbr64
            push rbp
            mov rbp, rsp
            pushfq
            push rax
            push rcx
            push rdx
            push rsi
            mov rsi, 0x555555800000
            mov rax, [rsi+0xC0]
            mov ecx, 0x0A
            cmp rax, rcx
            jnb 0x000055555570005A
            mov eax, 0x01
            lock xadd [rsi+0xC0], rax
            mov ecx, 0x0A
            cmp rax, rcx
            jnb 0x000055555570005A
            mov rax, 0xFFFFFFFFFFFFFFFF
            mov [rbp-0x10], rax
            pop rsi
            pop rdx
            pop rcx
            pop rax
            popfq
            pop rbp
            ret
            pop rsi
            pop rdx
            pop rcx
            pop rax
            popfq
            pop rbp
            jmp 0x0000555555704000
            """);
  }

  @Test
  void refusesAnOriginalOutOfReach() {
    Places far = new Places(1, BODY, DATA, BODY + (1L << 32), 2, 3, 0);

    assertThatExceptionOfType(PlanRefusedException.class)
        .isThrownBy(() -> OverrideBody.of(ReturnOverride.returning(1).atMost(1), far))
        .satisfies(refused -> assertThat(refused.rule()).isEqualTo(13));
  }

  @Test
  void refusesToCallTheFunctionThatItOverrides() {
    long itself = 0x7000;
    Places errno = new Places(itself, BODY, DATA, ORIGINAL, itself, 3, 0);
    Places clock = new Places(itself, BODY, DATA, ORIGINAL, 2, itself, 0);
    ReturnOverride plain = ReturnOverride.returning(1);
    ReturnOverride withErrno = plain.withErrno(5);
    ReturnOverride lasting = plain.lasting(Duration.ofSeconds(1));

    assertThatExceptionOfType(UnsupportedPlanException.class)
        .isThrownBy(() -> OverrideBody.of(withErrno, errno))
        .withMessageContaining("__errno_location")
        .withMessageContaining("0x7000");
    assertThatExceptionOfType(UnsupportedPlanException.class)
        .isThrownBy(() -> OverrideBody.of(lasting, clock))
        .withMessageContaining("clock_gettime");
    assertThat(OverrideBody.of(lasting, errno).code().length()).isPositive();
    assertThat(OverrideBody.of(withErrno, clock).code().length()).isPositive();
  }

  @Test
  void refusesDataAcrossCacheLines() {
    assertThatExceptionOfType(IllegalArgumentException.class)
        .isThrownBy(() -> new Places(1, BODY, DATA + 8, ORIGINAL, 2, 3, 0));
  }

  @Test
  void theRoomForTheLongestIsThatOfTheFarthestPlaces() {
    assertThat(OverrideBody.roomForCode(ALL_CONDITIONS))
        .isEqualTo(OverrideBody.of(ALL_CONDITIONS, PLACES).code().length() + 5);
  }

  private static List<Instruction> read(OverrideBody body) {
    WitnessedDecoder both = WitnessedDecoder.requireZydis();
    CodeRegion code = CodeRegion.of("body", BODY, body.code());
    ImmutableList.Builder<Instruction> instructions = ImmutableList.builder();
    for (int at = 0; at < body.code().length(); ) {
      Instruction instruction = both.instruction(code, at);
      instructions.add(instruction);
      at += instruction.length();
    }
    return instructions.build();
  }

  private static String text(OverrideBody body) {
    ZydisDecoder zydis = new ZydisDecoder();
    CodeRegion code = CodeRegion.of("body", BODY, body.code());
    StringBuilder text = new StringBuilder();
    for (Instruction each : read(body)) {
      text.append(zydis.format(code, (int) (each.address() - BODY))).append('\n');
    }
    return text.toString();
  }
}
