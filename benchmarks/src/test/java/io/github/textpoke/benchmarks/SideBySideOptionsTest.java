package io.github.textpoke.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class SideBySideOptionsTest {
  private static SideBySideOptions parse(String... more) {
    List<String> all = new ArrayList<>(List.of("--reference", "reference"));
    all.addAll(List.of(more));
    return SideBySideOptions.parse(all);
  }

  @Test
  void measuresOneTwoAndEightWorkersAndThreeBatchesUnlessTold() {
    SideBySideOptions options = parse();

    assertThat(options.workers()).containsExactly(1, 2, 8);
    assertThat(options.batches()).containsExactly(10, 100, 1000);
    assertThat(options.intervalNanos()).isEqualTo(500_000);
    assertThat(options.json()).isFalse();
  }

  @Test
  void takesListsThatMayBeEmpty() {
    SideBySideOptions options = parse("--workers", "3,4", "--batches", "", "--json");

    assertThat(options.workers()).containsExactly(3, 4);
    assertThat(options.batches()).isEmpty();
    assertThat(options.json()).isTrue();
  }

  @Test
  void anOddNumberOfPokesIsMadeEvenForTheyComeInPairs() {
    assertThat(parse("--pokes", "401").pokes()).isEqualTo(400);
  }

  @Test
  void refusesWhatItDoesNotKnow() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> parse("--worker", "1"))
        .withMessageContaining("--worker");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> parse("--rounds", "0"))
        .withMessageContaining("--rounds needs a number from 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> parse("--rounds"))
        .withMessageContaining("needs a value");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SideBySideOptions.parse(List.of()))
        .withMessageContaining("--reference");
  }
}
