package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TurnTest {
  /** As the values are described: held, committed, expired. */
  @ParameterizedTest
  @CsvSource({
    "0, false",
    "1, true",
    "2, false",
    "3, true",
    "4, false",
    "5, false",
    "8, true",
    "9, false",
    "10, true",
    "11, true"
  })
  void aHoldThatIsNotCommittedEndsWithWhatRanBefore(int value, boolean isNew) {
    assertThat(Turn.endsNew(value)).isEqualTo(isNew);
  }
}
