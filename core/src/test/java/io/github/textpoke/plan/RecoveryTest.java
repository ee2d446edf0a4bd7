package io.github.textpoke.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.plan.FoundSite.State;
import io.github.textpoke.plan.Recovery.Goal;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RecoveryTest {
  private static final int INT3 = 0xcc;
  private static final Poke JUMP =
      poke(0x1000, "0f 1f 44 00 00", "e9 11 22 33 44", new TrapAction.Rewind());
  private static final Poke ARMING =
      poke(0x2000, "0f 1f 44 00 00", "cc 1f 44 00 00", new TrapAction.PassOn());
  private static final Poke SAME_FIRST_BYTE =
      poke(0x3000, "e8 11 22 33 44", "e8 55 66 77 88", new TrapAction.Rewind());
  private static final Poke DISPLACING =
      Poke.displacing(
          new Site(0x5000, CodeBytes.ofHex("55 48 89 e5 90")),
          5,
          List.of(Boundary.copiedTo(1, 0x7001), Boundary.copiedTo(4, 0x7004)),
          CodeBytes.ofHex("e9 11 22 33 44"),
          5,
          new TrapAction.Redirect(0x7000));
  private static final Poke NO_CHANGE = poke(0x4000, "90 90", "90 90", new TrapAction.Rewind());

  @ParameterizedTest
  @CsvSource({
    "0f 1f 44 00 00, OLD",
    "e9 11 22 33 44, NEW",
    "cc 1f 44 00 00, CUT_OFF",
    "cc 11 44 33 00, CUT_OFF",
    "cc 11 22 33 44, CUT_OFF",
    "0f 11 22 33 44, FOREIGN",
    "e9 1f 44 00 00, FOREIGN",
    "cc 1f 44 00 01, FOREIGN",
    "90 90 90 90 90, FOREIGN",
    "0f 1f 44 00, FOREIGN",
    "'', FOREIGN",
  })
  void knowsTheBytesOfAReplacement(String found, State state) {
    assertThat(stateOf(JUMP, found)).isEqualTo(state);
  }

  @ParameterizedTest
  @CsvSource({
    "0f 1f 44 00 00, OLD",
    "cc 1f 44 00 00, NEW",
    "cc 1f 44 00 01, FOREIGN",
    "e9 1f 44 00 00, FOREIGN",
  })
  void knowsTheBytesOfABreakpointThatStays(String found, State state) {
    assertThat(stateOf(ARMING, found)).isEqualTo(state);
    assertThat(stateOf(ARMING.inverse(), found))
        .isEqualTo(state == State.OLD ? State.NEW : state == State.NEW ? State.OLD : state);
  }

  @ParameterizedTest
  @CsvSource({
    "e8 11 22 33 44, OLD",
    "e8 55 66 77 88, NEW",
    "cc 55 66 77 44, CUT_OFF",
    "e8 55 66 77 44, FOREIGN",
  })
  void takesAMixedTailForACutOffUnderABreakpointOnly(String found, State state) {
    assertThat(stateOf(SAME_FIRST_BYTE, found)).isEqualTo(state);
  }

  @ParameterizedTest
  @CsvSource({"90 90, OLD", "cc 90, CUT_OFF", "cc cc, FOREIGN"})
  void knowsTheBytesOfAPokeThatChangesNothing(String found, State state) {
    assertThat(stateOf(NO_CHANGE, found)).isEqualTo(state);
  }

  @ParameterizedTest
  @CsvSource({
    "55 48 89 e5 90, OLD",
    "e9 11 22 33 44, NEW",
    "cc 48 89 e5 90, CUT_OFF",
    "cc cc 89 e5 90, CUT_OFF",
    "cc cc 89 e5 cc, CUT_OFF",
    "cc 48 22 e5 cc, CUT_OFF",
    "cc 11 22 33 44, CUT_OFF",
    "cc 48 cc e5 90, FOREIGN",
    "55 cc 89 e5 90, FOREIGN",
    "e9 11 22 33 cc, FOREIGN",
    "cc 48 89 e5 91, FOREIGN",
  })
  void knowsTheBreakpointsOfInstructionsThatAreDisplaced(String found, State state) {
    assertThat(stateOf(DISPLACING, found)).isEqualTo(state);
    assertThat(stateOf(DISPLACING.inverse(), found))
        .isEqualTo(state == State.OLD ? State.NEW : state == State.NEW ? State.OLD : state);
  }

  @Test
  void givesBackTheBreakpointsInsideOneByOneAndTheFirstByteLast() {
    assertThat(words(recovery(Goal.OLD, List.of(DISPLACING), "cc cc 89 e5 cc")))
        .containsExactly("sync", "5001: cc -> 48", "5004: cc -> 90", "5000: cc -> 55", "sync");
    assertThat(words(recovery(Goal.OLD, List.of(DISPLACING), "cc 48 89 e5 cc")))
        .containsExactly("sync", "5004: cc -> 90", "5000: cc -> 55", "sync");
  }

  @Test
  void putsATailOfSeveralInstructionsBackWithoutBreakpointsInside() {
    assertThat(words(recovery(Goal.OLD, List.of(DISPLACING), "cc 11 89 e5 cc")))
        .containsExactly(
            "sync", "5001: 11 89 e5 cc -> 48 89 e5 90", "sync", "5000: cc -> 55", "sync");
  }

  @Test
  void evacuatesBeforeItFinishesADisplacement() {
    assertThat(words(recovery(Goal.NEW, List.of(DISPLACING), "55 48 89 e5 90")))
        .containsExactly(
            "5000: 55 -> cc",
            "5001: 48 -> cc",
            "5004: 90 -> cc",
            "sync",
            "evacuate {5001=7001, 5004=7004}",
            "5001: cc 89 e5 cc -> 11 22 33 44",
            "sync",
            "5000: cc -> e9",
            "sync");
  }

  @Test
  void syncsBeforeItPutsBreakpointsIntoWhatMayBeTheOneInstruction() {
    assertThat(words(recovery(Goal.NEW, List.of(DISPLACING), "cc 11 22 33 44")))
        .containsExactly(
            "sync",
            "5001: 11 -> cc",
            "5004: 44 -> cc",
            "sync",
            "evacuate {5001=7001, 5004=7004}",
            "5001: cc 22 33 cc -> 11 22 33 44",
            "sync",
            "5000: cc -> e9",
            "sync");
    assertThat(words(recovery(Goal.NEW, List.of(DISPLACING), "cc cc 89 e5 cc")))
        .startsWith("sync", "evacuate {5001=7001, 5004=7004}");
  }

  @Test
  void evacuatesOnTheWayBackFromTheWayBack() {
    assertThat(words(recovery(Goal.OLD, List.of(DISPLACING.inverse()), "55 48 89 e5 90")))
        .isEqualTo(words(recovery(Goal.NEW, List.of(DISPLACING), "55 48 89 e5 90")));
    assertThat(words(recovery(Goal.NEW, List.of(DISPLACING.inverse()), "cc 11 22 33 90")))
        .containsExactly(
            "sync", "5001: 11 22 33 90 -> 48 89 e5 90", "sync", "5000: cc -> 55", "sync");
  }

  @Test
  void finishesAMixedTailBehindItsBreakpoint() {
    assertThat(words(recovery(Goal.NEW, List.of(JUMP), "cc 11 22 00 00")))
        .containsExactly(
            "sync", "1001: 11 22 00 00 -> 11 22 33 44", "sync", "1000: cc -> e9", "sync");
  }

  @Test
  void takesAMixedTailBackBehindItsBreakpoint() {
    assertThat(words(recovery(Goal.OLD, List.of(JUMP), "cc 11 22 00 00")))
        .containsExactly(
            "sync", "1001: 11 22 00 00 -> 1f 44 00 00", "sync", "1000: cc -> 0f", "sync");
  }

  @Test
  void syncsWhereTheGoalStandsAlready() {
    assertThat(words(recovery(Goal.NEW, List.of(JUMP), "e9 11 22 33 44"))).containsExactly("sync");
    assertThat(words(recovery(Goal.OLD, List.of(JUMP), "0f 1f 44 00 00"))).containsExactly("sync");
  }

  @Test
  void takesAFinishedSiteBackThroughTheBreakpoint() {
    assertThat(words(recovery(Goal.OLD, List.of(JUMP), "e9 11 22 33 44")))
        .containsExactly(
            "1000: e9 -> cc",
            "sync",
            "1001: 11 22 33 44 -> 1f 44 00 00",
            "sync",
            "1000: cc -> 0f",
            "sync");
  }

  @Test
  void setsAndRemovesABreakpointByTheFirstByteAlone() {
    assertThat(words(recovery(Goal.NEW, List.of(ARMING), "0f 1f 44 00 00")))
        .containsExactly("2000: 0f -> cc", "sync");
    assertThat(words(recovery(Goal.OLD, List.of(ARMING), "cc 1f 44 00 00")))
        .containsExactly("sync", "2000: cc -> 0f", "sync");
  }

  @Test
  void leavesAForeignSiteAloneAndRecoversTheOthers() {
    Recovery recovery =
        recovery(
            Goal.OLD,
            List.of(JUMP, ARMING, SAME_FIRST_BYTE),
            "90 90 90 90 90",
            "cc 1f 44 00 00",
            "cc 11 22 33 88");

    assertThat(words(recovery))
        .containsExactly(
            "sync",
            "3001: 11 22 33 88 -> 11 22 33 44",
            "sync",
            "2000: cc -> 0f",
            "3000: cc -> e8",
            "sync");
    assertThat(recovery.sites())
        .extracting(FoundSite::state)
        .containsExactly(State.FOREIGN, State.NEW, State.CUT_OFF);
    assertThat(recovery.foreign())
        .containsExactly(new FoundSite(JUMP, CodeBytes.ofHex("90 90 90 90 90"), State.FOREIGN));
  }

  @Test
  void wantsTheBytesOfEverySite() {
    assertThatThrownBy(() -> recovery(Goal.OLD, List.of(JUMP, ARMING), "90"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("2 sites, and the bytes of 1");
  }

  private static State stateOf(Poke poke, String found) {
    return FoundSite.of(INT3, poke, CodeBytes.ofHex(found)).state();
  }

  private static Recovery recovery(Goal goal, List<Poke> pokes, String... found) {
    return PokeProtocol.recovery(
        PatchPlan.of(INT3, pokes), Arrays.stream(found).map(CodeBytes::ofHex).toList(), goal);
  }

  private static Poke poke(long address, String from, String to, TrapAction action) {
    CodeBytes old = CodeBytes.ofHex(from);
    CodeBytes replacement = CodeBytes.ofHex(to);
    return new Poke(
        new Site(address, old), old.length(), replacement, replacement.length(), action);
  }

  private static ImmutableList<String> words(Recovery recovery) {
    return recovery.steps().stream()
        .map(RecoveryTest::words)
        .collect(ImmutableList.toImmutableList());
  }

  private static String words(Step step) {
    if (step instanceof Step.Write write) {
      return Long.toHexString(write.address()) + ": " + write.expected() + " -> " + write.bytes();
    }
    if (step instanceof Step.Evacuate evacuate) {
      return evacuate.mapping().entrySet().stream()
          .map(move -> Long.toHexString(move.getKey()) + "=" + Long.toHexString(move.getValue()))
          .collect(Collectors.joining(", ", "evacuate {", "}"));
    }
    return "sync";
  }
}
