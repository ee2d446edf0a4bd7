package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import java.util.stream.Stream;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class WitnessedDecoderTest {
  private static final CodeRegion CODE = InstructionDecoderContract.code("eb 00 90 90 90 90 90");
  private static final long JUMP = Decoded.pack(2, Flow.JUMP, 1, 1, 0, 0, 0);
  private static final long REFUSED = Decoded.undecodable(Undecodable.UNKNOWN);

  /** Says the same of all bytes. */
  private record Fixed(String name, long answer) implements InstructionDecoder {
    @Override
    public long decode(CodeRegion code, int offset) {
      return answer;
    }
  }

  private static WitnessedDecoder witnessed(long one, long other) {
    return new WitnessedDecoder(new Fixed("one", one), new Fixed("other", other));
  }

  static Stream<Long> contradictionsOfTheJump() {
    return Stream.of(
        Decoded.pack(3, Flow.JUMP, 1, 1, 0, 0, 0),
        Decoded.pack(2, Flow.CONDITIONAL_JUMP, 1, 1, 0, 0, 0),
        Decoded.pack(2, Flow.JUMP, 1, 4, 0, 0, 0),
        Decoded.pack(2, Flow.JUMP, 0, 0, 0, 0, 0),
        Decoded.pack(2, Flow.JUMP, 1, 1, 1, 4, 0),
        REFUSED);
  }

  @ParameterizedTest
  @MethodSource("contradictionsOfTheJump")
  void refusesWhereTheWitnessesDisagree(long other) {
    for (long decoded :
        new long[] {
          witnessed(JUMP, other).decode(CODE, 0), witnessed(other, JUMP).decode(CODE, 0)
        }) {
      assertThat(Decoded.isDecoded(decoded)).isFalse();
      assertThat(Decoded.reason(decoded)).isEqualTo(Undecodable.WITNESSES_DISAGREE);
    }
  }

  @Test
  void takesTheFirstWitnessAtItsWordForWhatIsNotWitnessed() {
    long decoded = witnessed(JUMP | Decoded.SEGMENT, JUMP | Decoded.LOCK).decode(CODE, 0);
    assertThat(decoded).isEqualTo(JUMP | Decoded.SEGMENT);
  }

  @Test
  void givesTheFirstReasonWhereBothRefuse() {
    long dropped = Decoded.undecodable(Undecodable.DROPPED_EXTENSION);
    assertThat(witnessed(dropped, REFUSED).decode(CODE, 0)).isEqualTo(dropped);
  }

  @Test
  void showsBothReadings() {
    assertThat(witnessed(JUMP, REFUSED).readings(CODE, 0))
        .isEqualTo(
            "one: 2 bytes (eb 00), JUMP, branch displacement of 1 bytes at 1; "
                + "other: no instruction that is known");
    assertThat(witnessed(Decoded.pack(7, Flow.NEXT, 0, 0, 3, 4, 0), JUMP).readings(CODE, 0))
        .startsWith(
            "one: 7 bytes (eb 00 90 90 90 90 90), NEXT, RIP-relative displacement at 3; other: ");
  }

  @Test
  void writesNothingWhereNoWitnessCan() {
    assertThat(witnessed(JUMP, JUMP).format(CODE, 0)).isNull();
  }

  @Test
  void isTheBestThatThereIs() {
    assertThat(WitnessedDecoder.best().name())
        .startsWith("table")
        .matches(name -> name.contains("zydis") == ZydisDecoder.isAvailable());
  }

  /** Table and Zydis together keep the contract, so they agree on all its cases. */
  @Nested
  @RequiresZydis
  class TableAndZydis extends InstructionDecoderContract {
    @Override
    InstructionDecoder decoder() {
      return WitnessedDecoder.requireZydis();
    }

    @Test
    void writesWhatZydisWrites() {
      assertThat(WitnessedDecoder.requireZydis().format(code("48 89 e5"), 0))
          .isEqualTo("mov rbp, rsp");
    }
  }
}
