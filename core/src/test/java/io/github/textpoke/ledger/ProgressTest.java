package io.github.textpoke.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.ledger.Progress.State;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class ProgressTest {
  @ParameterizedTest
  @EnumSource(State.class)
  void readsWhatItWrites(State state) {
    for (int step : new int[] {0, 1, 6, Integer.MAX_VALUE}) {
      assertThat(Progress.of(new Progress(state, step).word()))
          .isEqualTo(new Progress(state, step));
    }
  }

  @ParameterizedTest
  @CsvSource({"APPLYING, work", "APPLIED, done", "REVERTING, back", "REVERTED, free"})
  void aDumpShowsTheStateAsAWordBehindTheStep(State state, String word) {
    byte[] bytes =
        ByteBuffer.allocate(8)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(new Progress(state, 3).word())
            .array();

    assertThat(bytes).startsWith(3, 0, 0, 0).endsWith(word.getBytes(StandardCharsets.US_ASCII));
  }

  @ParameterizedTest
  @ValueSource(longs = {0, -1, 3, 0x6b72_6f77L, 0x6b72_6f78_0000_0000L, 0x6b72_6f77_8000_0000L})
  void knowsNoOtherWord(long word) {
    assertThat(Progress.of(word)).isNull();
  }

  @Test
  void refusesANegativeStep() {
    assertThatThrownBy(() -> new Progress(State.APPLYING, -1))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
