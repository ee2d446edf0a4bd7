package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.x86.detour.ReturnOverride.Chance;
import java.math.BigInteger;
import java.time.Duration;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ReturnOverrideTest {
  private static final ReturnOverride PLAIN = ReturnOverride.returning(-1);

  @Test
  void saysInWordsWhatItDoes() {
    assertThat(PLAIN).hasToString("returns -1");
    assertThat(ReturnOverride.returningInOrder(3, 5, 7)).hasToString("returns 3, then 5, then 7");
    assertThat(
            PLAIN
                .withErrno("EIO")
                .everyNth(3)
                .withProbability(0.25, 42)
                .atMost(10)
                .lasting(Duration.ofSeconds(30)))
        .hasToString(
            "returns -1 with errno EIO, one of 3 calls, with probability 0.25 (seed 42), at most 10"
                + " times, for PT30S");
    assertThat(PLAIN.withErrno(4000).atMost(1))
        .hasToString("returns -1 with errno 4000, at most 1 time");
  }

  @Test
  void doesNotDependOnTheOrderInWhichItWasSaid() {
    assertThat(PLAIN.atMost(3).everyNth(2).withErrno(5))
        .isEqualTo(PLAIN.withErrno("EIO").everyNth(2).atMost(3));
  }

  @Test
  void isLimitedByTimesAndByValues() {
    ReturnOverride three = ReturnOverride.returningInOrder(3, 5, 7);
    assertThat(PLAIN.limit()).isEmpty();
    assertThat(PLAIN.atMost(4).limit()).hasValue(4);
    assertThat(three.limit()).hasValue(3);
    assertThat(three.atMost(2).limit()).hasValue(2);
    assertThat(three.atMost(4).limit()).hasValue(3);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 10000000000000000",
    "0.5, 8000000000000000",
    "0.25, 4000000000000000",
    "5.421010862427522E-20, 1",
    "1e-300, 1",
    "0.9999999999999999, fffffffffffff800",
  })
  void aProbabilityIsAThresholdOf64Bits(double probability, String threshold) {
    assertThat(new Chance(probability, 0).threshold()).isEqualTo(new BigInteger(threshold, 16));
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.1, 1.0000000000000002, Double.NaN, Double.POSITIVE_INFINITY})
  void refusesWhatIsNoProbability(double probability) {
    assertRefused("probability", () -> PLAIN.withProbability(probability, 1));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -5, 4096})
  void refusesWhatIsNoErrorNumber(int number) {
    assertRefused("error number", () -> PLAIN.withErrno(number));
  }

  @Test
  void refusesAnErrorThatThereIsNot() {
    assertRefused("EWRONG", () -> PLAIN.withErrno("EWRONG"));
  }

  @ParameterizedTest
  @ValueSource(longs = {0, -1, Long.MIN_VALUE})
  void refusesCountsBelowOne(long count) {
    assertRefused("n-th", () -> PLAIN.everyNth(count));
    assertRefused("at least one", () -> PLAIN.atMost(count));
  }

  @Test
  void refusesDurationsThatEndAtOnceOrNever() {
    assertRefused("duration", () -> PLAIN.lasting(Duration.ZERO));
    assertRefused("duration", () -> PLAIN.lasting(Duration.ofNanos(-1)));
    assertRefused("duration", () -> PLAIN.lasting(Duration.ofSeconds(Long.MAX_VALUE)));
    assertThat(PLAIN.lasting(Duration.ofDays(36500)).duration()).isPresent();
  }

  @Test
  void refusesMoreValuesThanThereIsRoomFor() {
    assertThat(ReturnOverride.returningInOrder(1, new long[4095]).limit()).hasValue(4096);
    assertRefused("values", () -> ReturnOverride.returningInOrder(1, new long[4096]));
  }

  private static void assertRefused(String message, ThrowingCallable call) {
    assertThatExceptionOfType(IllegalArgumentException.class)
        .isThrownBy(call)
        .withMessageContaining(message);
  }
}
