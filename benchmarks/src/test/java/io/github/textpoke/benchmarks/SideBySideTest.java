package io.github.textpoke.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.gson.JsonArray;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.junit.jupiter.api.Test;

final class SideBySideTest {
  private static final Scenario SCENARIO = new Scenario(2, 1, 500_000, 3);

  /** A contender whose rounds are known, and that notes when it runs. */
  private record Scripted(String name, Iterator<Round> rounds, List<String> log)
      implements Contender {
    static Scripted of(String name, List<String> log, long... medians) {
      List<Round> rounds = new ArrayList<>();
      for (long median : medians) {
        rounds.add(new Round(median, 2 * median, 3 * median, 1, true));
      }
      return new Scripted(name, rounds.iterator(), log);
    }

    @Override
    public boolean canDo(Scenario scenario) {
      return true;
    }

    @Override
    public Round measure(Scenario scenario) {
      log.add(name);
      return rounds.next();
    }
  }

  /** A contender that writes batches as one range. */
  private record InRanges(Scripted scripted) implements Contender {
    @Override
    public String name() {
      return scripted.name();
    }

    @Override
    public boolean isInRanges() {
      return true;
    }

    @Override
    public boolean canDo(Scenario scenario) {
      return true;
    }

    @Override
    public Round measure(Scenario scenario) {
      return scripted.measure(scenario);
    }
  }

  private final List<String> log = new ArrayList<>();

  private ImmutableList<Comparison> compared() {
    return SideBySide.compare(
        SCENARIO,
        ImmutableList.of(
            Scripted.of("C", log, 10, 20, 1000), Scripted.of("textpoke", log, 30, 40, 4000)),
        3);
  }

  @Test
  void contendersTakeTurns() {
    compared();

    assertThat(log).containsExactly("C", "textpoke", "C", "textpoke", "C", "textpoke");
  }

  @Test
  void theRatioIsTheMedianOfThoseOfTheRounds() {
    Comparison textpoke = compared().get(1);

    Ratios ratios = textpoke.ratios(Round::median);
    assertThat(ratios.median()).isCloseTo(3.0, within(1e-9));
    assertThat(ratios.lowest()).isCloseTo(2.0, within(1e-9));
    assertThat(ratios.highest()).isCloseTo(4.0, within(1e-9));
  }

  @Test
  void whoComesBehindOneThatWritesInRangesIsComparedWithThatOneToo() {
    ImmutableList<Comparison> rows =
        SideBySide.compare(
            SCENARIO,
            ImmutableList.of(
                Scripted.of("C", log, 10, 20),
                new InRanges(Scripted.of("C, in ranges", log, 5, 5)),
                Scripted.of("textpoke", log, 20, 20)),
            2);

    assertThat(rows.get(1).rangeRatios(Round::median)).isEmpty();
    assertThat(rows.get(2).ratios(Round::median).median()).isCloseTo(1.5, within(1e-9));
    assertThat(rows.get(2).rangeRatios(Round::median).orElseThrow().median())
        .isCloseTo(4.0, within(1e-9));
    assertThat(ComparisonTable.row(rows.get(2))).contains("1.50 (1.00 to 2.00)", "4.00 (4.00 to");
  }

  @Test
  void aMedianIsThatOfTheRoundsAndTheMaximumThatOfAllPokes() {
    Comparison textpoke = compared().get(1);

    assertThat(textpoke.median(Round::p99)).isEqualTo(80.0);
    assertThat(textpoke.max()).isEqualTo(12_000);
    assertThat(textpoke.traps()).isEqualTo(3);
  }

  @Test
  void aRoundKnowsThePercentilesOfItsPokes() {
    long[] nanos = new long[200];
    for (int i = 0; i < nanos.length; i++) {
      nanos[i] = 200 - i;
    }

    assertThat(Round.of(nanos, 7, false)).isEqualTo(new Round(101, 199, 200, 7, false));
  }

  @Test
  void theTableShowsMicrosecondsAndTheRatioOfEachButTheBaseline() {
    List<Comparison> rows = compared();

    assertThat(ComparisonTable.row(rows.get(0))).doesNotContain(" to ").contains(" C ");
    assertThat(ComparisonTable.row(rows.get(1)))
        .contains("textpoke", "3.00 (2.00 to 4.00)", "12.0");
  }

  @Test
  void theJsonHoldsEachRoundInNanoseconds() {
    JsonArray rows = JsonParser.parseString(ComparisonTable.json(compared())).getAsJsonArray();

    assertThat(rows).hasSize(2);
    JsonArray rounds = rows.get(1).getAsJsonObject().getAsJsonArray("rounds");
    assertThat(rounds.get(2).getAsJsonObject().get("median").getAsLong()).isEqualTo(4000);
  }
}
