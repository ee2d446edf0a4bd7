package io.github.textpoke.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.apply.AttachOptions.EngineChoice;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Short runs of the real programs: that they poke, and that no worker sees a wrong result. */
final class ContendersTest {
  private static final Path REFERENCE = Path.of("target", "reference");

  @ParameterizedTest
  @CsvSource({"1, false", "100, false", "100, true"})
  void theReferencePokesWhileWorkersRun(int sites, boolean range) {
    Round round = new CReference(REFERENCE, range).measure(new Scenario(2, sites, 0, 20));

    assertThat(round.median()).isPositive().isLessThanOrEqualTo(round.p99());
    assertThat(round.p99()).isLessThanOrEqualTo(round.max());
  }

  @ParameterizedTest
  @CsvSource({
    "POKER, 0, 1", "POKER, 2, 1", "POKER, 2, 100",
    "STEPWISE, 0, 1", "STEPWISE, 2, 1", "STEPWISE, 2, 100"
  })
  void textpokePokesTheFixtureWhileWorkersRun(EngineChoice engine, int workers, int sites) {
    Round round = new Textpoke(engine, false).measure(new Scenario(workers, sites, 0, 20));

    assertThat(round.median()).isPositive().isLessThanOrEqualTo(round.p99());
    assertThat(round.p99()).isLessThanOrEqualTo(round.max());
  }

  @Test
  void aReferenceThatFailsIsReportedWithItsCommand() {
    assertThatThrownBy(() -> new CReference(REFERENCE, false).measure(new Scenario(513, 1, 0, 2)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("--workers, 513")
        .hasMessageContaining("ended with 2");
  }
}
