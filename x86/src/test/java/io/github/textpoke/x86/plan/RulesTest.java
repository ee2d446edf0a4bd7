package io.github.textpoke.x86.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class RulesTest {
  @Test
  void numbersTheRulesFrom1To23() {
    assertThat(Arrays.stream(Rules.values()).map(Rules::number))
        .containsExactlyElementsOf(IntStream.rangeClosed(1, 23).boxed().toList());
  }

  @Test
  void printsATableWithOneRowForEachRule() {
    assertThat(Rules.table().lines().skip(2))
        .hasSameSizeAs(Rules.values())
        .allMatch(row -> row.matches("\\| \\d+( \\| [^|]+){3} \\|"));
    assertThat(Rules.table()).doesNotContain("\r").endsWith("|\n");
  }

  @Test
  void endsEachSentenceWithAFullStopAndNamesASourceAndWhoEnforcesIt() {
    assertThat(Rules.values())
        .allMatch(rule -> rule.sentence().endsWith("."))
        .noneMatch(rule -> rule.source().isBlank() || rule.enforcedBy().isBlank());
  }
}
