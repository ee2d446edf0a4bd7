package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.Step;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Two instances of one program, of which the poker patches one and the stepwise engine the other:
 * what is done to both must become of both.
 */
final class Twins implements AutoCloseable {
  private final Twin poker;
  private final Twin stepwise;

  private Twins(Twin poker, Twin stepwise) {
    this.poker = poker;
    this.stepwise = stepwise;
  }

  /**
   * Starts a program twice.
   *
   * @param published the names of its addresses, by which it is told of
   * @param runners how many runners it has
   * @param pauses whether incidents may happen between two steps; else the poker does the writes to
   *     neighbours in one go
   * @param sabotage changes the steps that the poker does
   */
  static Twins start(
      List<String> published,
      int runners,
      boolean pauses,
      UnaryOperator<ImmutableList<Step>> sabotage,
      String program,
      String... arguments) {
    Fixture first = Fixture.start(program, arguments);
    Fixture second = null;
    Twin poker = null;
    try {
      second = Fixture.start(program, arguments);
      poker = new Twin(EngineChoice.POKER, first, published, runners, pauses, sabotage);
      Twin stepwise =
          new Twin(
              EngineChoice.STEPWISE, second, published, runners, pauses, UnaryOperator.identity());
      return new Twins(poker, stepwise);
    } catch (Throwable failure) {
      if (poker != null) {
        poker.close();
      }
      first.close();
      if (second != null) {
        second.close();
      }
      throw failure;
    }
  }

  /** One of both, to look at: they are alike. */
  Twin one() {
    return poker;
  }

  /** From now on the whole code of the program is watched. */
  void watchProgram() {
    poker.watchProgram();
    stepwise.watchProgram();
  }

  /** From now on so many bytes are watched. */
  void watch(String place, int length) {
    poker.watch(poker.address(place), length);
    stepwise.watch(stepwise.address(place), length);
  }

  void write(String place, CodeBytes bytes) {
    poker.write(place, bytes);
    stepwise.write(place, bytes);
  }

  void attachAgain() {
    poker.attachAgain();
    stepwise.attachAgain();
  }

  /**
   * Has both engines do it.
   *
   * @return what became of it
   * @throws AssertionError if that is not the same, or if a thread that waited, and whose trap was
   *     not the program's own, did not run what stands at its site at the end
   */
  Account both(Deed deed) {
    Account theirs = poker.does(deed);
    Account ours = stepwise.does(deed);
    if (!theirs.equals(ours)) {
      throw new AssertionError(
          deed
              + "\nthe poker alone: "
              + theirs.less(ours)
              + "\nthe stepwise engine alone: "
              + ours.less(theirs));
    }
    assertThat(ours.calls())
        .filteredOn(call -> !deed.redirects())
        .filteredOn(call -> call.waited() && !call.went().contains("trap"))
        .allSatisfy(call -> assertThat(call.again()).isEqualTo(call.went()));
    return ours;
  }

  void assertHealthy() {
    poker.assertHealthy();
    stepwise.assertHealthy();
  }

  @Override
  public void close() {
    try {
      poker.close();
    } finally {
      stepwise.close();
    }
  }
}
