package io.github.textpoke.unwind;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ExpressionMachineTest {
  private static final long SEED = 0x6578_7072_6573_7369L;
  private static final int RANDOM_EXPRESSIONS = 200_000;
  private static final long PLACE = 0x10_0000;
  private static final ImmutableMap<Integer, Long> REGISTERS =
      ImmutableMap.of(7, PLACE, 16, 0x1_000bL, 3, -2L);
  private static final FakeMemory MEMORY =
      new FakeMemory().map(PLACE, 4096).put(PLACE + 8, 0x1122_3344_5566_7788L);

  private static long evaluate(String hex) throws UnknownCallerException {
    return ExpressionMachine.evaluate(CodeBytes.ofHex(hex), REGISTERS, new Words(MEMORY), 0x5000);
  }

  @ParameterizedTest
  @CsvSource({
    "'', 0x5000", // what is there beforehand
    "30, 0",
    "4f, 31",
    "08 ff, 255",
    "09 ff, -1",
    "0a ff ff, 65535",
    "0b ff ff, -1",
    "0c ff ff ff ff, 0xffffffff",
    "0d ff ff ff ff, -1",
    "0e 01 00 00 00 00 00 00 80, -9223372036854775807",
    "0f ff ff ff ff ff ff ff ff, -1",
    "10 80 02, 256",
    "11 80 7e, -256",
    "77 08, 0x100008",
    "92 03 01, -1",
    "77 08 06, 0x1122334455667788",
    "77 08 94 02, 0x7788",
    "77 09 94 04, 0x44556677",
    "31 32 12 22, 4",
    "31 32 13, 1",
    "31 32 14, 1",
    "31 32 33 15 02, 1",
    "31 32 16, 1",
    "31 32 33 17, 2",
    "31 32 33 17 13 13, 3",
    "73 00 19, 2",
    "3c 3a 1a, 8",
    "3c 32 1b, 6",
    "73 00 32 1b, -1",
    "32 35 1c, -3",
    "3c 35 1d, 2",
    "33 34 1e, 12",
    "32 1f, -2",
    "30 20, -1",
    "31 32 21, 3",
    "31 32 22, 3",
    "31 23 90 01, 145",
    "31 34 24, 16",
    "31 08 40 24, 0",
    "73 00 31 25, 0x7fffffffffffffff",
    "73 00 31 26, -1",
    "73 00 08 50 26, -1",
    "36 33 27, 5",
    "31 31 29, 1",
    "31 32 29, 0",
    "73 00 31 2a, 0",
    "31 73 00 2b, 1",
    "73 00 31 2c, 1",
    "73 00 31 2d, 1",
    "31 32 2e, 1",
    "96 35, 5",
    "2f 01 00 30 35, 5",
    "31 31 28 01 00 30, 1",
    "31 30 28 01 00 35, 5",
    // that of the PLT: 8 behind the push, where the instruction pointer ends in 11 or more
    "77 08 80 00 3f 1a 3b 2a 33 24 22, 0x100010",
  })
  void carriesOutEachOperation(String hex, String expected) throws Exception {
    assertThat(evaluate(hex)).isEqualTo(Long.decode(expected));
  }

  @ParameterizedTest
  @CsvSource({
    "70 00, register 0 ",
    "92 ff ff ff ff ff ff ff ff 87 00, register",
    "77 80 20 06, nothing is there",
    "13 13, more than there is",
    "31 30 1b, divides by 0",
    "31 30 1d, divides by 0",
    "2f fd ff, does not end",
    "2f fc ff, out of itself",
    "2f 01 00, out of itself",
    "08, cut off",
    "77 80, cut off",
    "77 00 94 09, 9 bytes",
    "9c, operation 0x9c",
    "50, operation 0x50",
    "12 2f fc ff, more than 256 entries",
    "10 80 80 80 80 80 80 80 80 80 80 80, too long",
  })
  void refusesWhatIsNoneOrCantBeKnown(String hex, String reason) {
    assertThatThrownBy(() -> evaluate(hex))
        .isInstanceOf(UnknownCallerException.class)
        .hasMessageContaining(reason.strip());
  }

  /** No other exception, and an end. */
  @Test
  void randomBytesYieldANumberOrAReason() {
    SplittableRandom random = new SplittableRandom(SEED);
    int yielded = 0;
    for (int i = 0; i < RANDOM_EXPRESSIONS; i++) {
      byte[] bytes = new byte[random.nextInt(1, 12)];
      for (int at = 0; at < bytes.length; at++) {
        bytes[at] = (byte) random.nextInt(0x06, 0x98);
      }
      try {
        ExpressionMachine.evaluate(
            CodeBytes.of(bytes), REGISTERS, new Words(MEMORY), random.nextLong());
        yielded++;
      } catch (UnknownCallerException reason) {
        assertThat(reason.reason()).isNotEmpty();
      }
    }
    assertThat(yielded).isBetween(RANDOM_EXPRESSIONS / 100, RANDOM_EXPRESSIONS * 99 / 100);
  }
}
