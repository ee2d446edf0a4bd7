package io.github.textpoke.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.CodeChangedException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PokeProtocolTest {
  private static final int INT3 = 0xcc;
  private static final String NOP5 = "0f 1f 44 00 00";
  private static final String JMP = "e9 11 22 33 44";
  private static final String ARMED = "cc 1f 44 00 00";

  @Test
  void replacesOneInstructionInSixSteps() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP)));

    assertThat(words(plan.steps()))
        .containsExactly(
            "1000: 0f -> cc",
            "sync",
            "1001: 1f 44 00 00 -> 11 22 33 44",
            "sync",
            "1000: cc -> e9",
            "sync");
  }

  @Test
  void writesNoTailWhereThereIsNone() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, "90", "c3")));

    assertThat(words(plan.steps()))
        .containsExactly("1000: 90 -> cc", "sync", "1000: cc -> c3", "sync");
  }

  @Test
  void armsABreakpointByTheFirstByteAlone() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(arming(0x1000)));

    assertThat(words(plan.steps())).containsExactly("1000: 0f -> cc", "sync");
  }

  @Test
  void disarmsABreakpointByTheFirstByteAlone() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(arming(0x1000))).inverse();

    assertThat(words(plan.steps())).containsExactly("1000: cc -> 0f", "sync");
  }

  @Test
  void sharesTheSyncsInABatchAndSortsByUnsignedAddress() {
    PatchPlan plan =
        PatchPlan.of(
            INT3,
            List.of(
                poke(0xffff_8000_0000_1000L, NOP5, JMP),
                poke(0x3000, "90", "c3"),
                arming(0x2000),
                arming(0x1000).inverse()));

    assertThat(words(plan.steps()))
        .containsExactly(
            "2000: 0f -> cc",
            "3000: 90 -> cc",
            "ffff800000001000: 0f -> cc",
            "sync",
            "ffff800000001001: 1f 44 00 00 -> 11 22 33 44",
            "sync",
            "1000: cc -> 0f",
            "3000: cc -> c3",
            "ffff800000001000: cc -> e9",
            "sync");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void splitsTheTailWhereThePageEnds(int bytesBeforeThePageEnds) {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x2000 - bytesBeforeThePageEnds, NOP5, JMP)));

    List<Step.Write> tails =
        plan.steps().stream()
            .filter(Step.Write.class::isInstance)
            .map(Step.Write.class::cast)
            .filter(write -> write.why().equals("all but the first byte"))
            .toList();
    assertThat(tails).hasSize(bytesBeforeThePageEnds == 1 ? 1 : 2);
    assertThat(tails)
        .allSatisfy(
            write ->
                assertThat(write.address() / 4096)
                    .isEqualTo((write.address() + write.bytes().length() - 1) / 4096));
    assertThat(tails.stream().map(Step.Write::bytes).reduce(CodeBytes::concat).orElseThrow())
        .isEqualTo(CodeBytes.ofHex("11 22 33 44"));
  }

  @Test
  void tellsWhyEachStepIsThere() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP)));

    assertThat(plan.steps().stream().map(Step::why))
        .containsExactly(
            "breakpoint on the first byte",
            "no core can miss a breakpoint",
            "all but the first byte",
            "no core can run a stale tail",
            "first byte",
            "no core can run a stale breakpoint");
  }

  @Test
  void refusesTwoPokesAtOneAddressAndNamesBoth() {
    assertRefused(
        6,
        "two pokes at one address: 0x1000 [90] and 0x1000 [0f 1f 44 00 00]",
        poke(0x1000, "90", "c3"),
        poke(0x1000, NOP5, JMP));
  }

  @Test
  void refusesOverlappingSitesAndNamesBoth() {
    assertRefused(
        6,
        "two sites overlap: 0x1000 [0f 1f 44 00 00] and 0x1004 [90]",
        poke(0x1004, "90", "c3"),
        poke(0x1000, NOP5, JMP));
  }

  @Test
  void refusesOverlappingSitesAtTheVeryTopOfMemory() {
    assertRefused(6, "overlap", poke(-5, NOP5, JMP), poke(-1, "90", "c3"));
  }

  @Test
  void takesSitesThatTouch() {
    assertThat(
            PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP), poke(0x1005, "90", "c3"))).pokes())
        .hasSize(2);
  }

  @Test
  void refusesABreakpointThatBringsANewTail() {
    assertRefused(19, "first byte only", passOn(0x1000, NOP5, "cc 90 90 90 90"));
    assertRefused(19, "first byte only", passOn(0x1000, ARMED, JMP));
  }

  @Test
  void refusesABreakpointOverABreakpoint() {
    assertRefused(19, "nothing to do", passOn(0x1000, ARMED, ARMED));
  }

  @Test
  void refusesABreakpointThatStaysAndRewinds() {
    assertRefused(19, "for ever", poke(0x1000, NOP5, ARMED));
  }

  @Test
  void refusesToPassOnTheBreakpointOfAReplacement() {
    assertRefused(4, "would kill it", passOn(0x1000, NOP5, JMP));
  }

  @Test
  void refusesAnEmptyPlan() {
    assertThatThrownBy(() -> PatchPlan.of(INT3, List.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("a plan has at least one poke");
  }

  @Test
  void rollsBackNothingWhereNothingWasDone() {
    assertThat(PokeProtocol.rollback(PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP))), 0))
        .isEmpty();
  }

  @Test
  void rollsBackABreakpointByTheFirstByteAlone() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP), poke(0x2000, NOP5, JMP)));

    assertThat(words(PokeProtocol.rollback(plan, 1)))
        .containsExactly("sync", "1000: cc -> 0f", "sync");
  }

  @Test
  void rollsBackATailBehindTheBreakpoint() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP)));

    assertThat(words(PokeProtocol.rollback(plan, 3)))
        .containsExactly(
            "sync", "1001: 11 22 33 44 -> 1f 44 00 00", "sync", "1000: cc -> 0f", "sync");
  }

  @Test
  void rollsBackAHalfWrittenTailAsItWasFound() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP)));

    assertThat(words(PokeProtocol.rollback(plan, 2, CodeBytes.ofHex("11 22 00 00"))))
        .containsExactly(
            "sync", "1001: 11 22 00 00 -> 1f 44 00 00", "sync", "1000: cc -> 0f", "sync");
  }

  @Test
  void rollsBackAFinishedSiteThroughTheBreakpoint() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP), poke(0x2000, NOP5, JMP)));
    int firstOfTwoFirstBytes = 7;

    assertThat(words(PokeProtocol.rollback(plan, firstOfTwoFirstBytes)))
        .containsExactly(
            "1000: e9 -> cc",
            "sync",
            "1001: 11 22 33 44 -> 1f 44 00 00",
            "2001: 11 22 33 44 -> 1f 44 00 00",
            "sync",
            "1000: cc -> 0f",
            "2000: cc -> 0f",
            "sync");
  }

  @Test
  void rollsBackToAnArmedBreakpoint() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(arming(0x1000))).inverse();

    assertThat(words(PokeProtocol.rollback(plan, 1))).containsExactly("1000: 0f -> cc", "sync");
  }

  @Test
  void syncsAfterAPokeThatChangedNothing() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, NOP5)));

    assertThat(words(PokeProtocol.rollback(plan, 3))).containsExactly("sync");
  }

  @Test
  void refusesToRollBackOverForeignBytes() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke(0x1000, NOP5, JMP)));

    assertThatThrownBy(() -> PokeProtocol.rollback(plan, 2, CodeBytes.ofHex("11 99 00 00")))
        .isInstanceOf(CodeChangedException.class)
        .hasMessageContaining("found 11 99 00 00, expected 1f 44 00 00");
  }

  @Test
  void takesPokesInAnyOrderAndUndoesTheUndoing() {
    List<Poke> pokes = List.of(poke(0x3000, "90", "c3"), poke(0x1000, NOP5, JMP), arming(0x2000));
    PatchPlan plan = PatchPlan.of(INT3, pokes);

    assertThat(PatchPlan.of(INT3, ImmutableList.copyOf(pokes).reverse())).isEqualTo(plan);
    assertThat(plan.inverse()).isNotEqualTo(plan);
    assertThat(plan.inverse().inverse()).isEqualTo(plan);
  }

  private static void assertRefused(int rule, String words, Poke... pokes) {
    assertThatThrownBy(() -> PatchPlan.of(INT3, List.of(pokes)))
        .isInstanceOfSatisfying(
            PlanRefusedException.class,
            refusal -> {
              assertThat(refusal.rule()).isEqualTo(rule);
              assertThat(refusal).hasMessageContaining(words);
            });
  }

  private static Poke poke(long address, String from, String to) {
    return poke(address, from, to, new TrapAction.Rewind());
  }

  private static Poke arming(long address) {
    return passOn(address, NOP5, ARMED);
  }

  private static Poke passOn(long address, String from, String to) {
    return poke(address, from, to, new TrapAction.PassOn());
  }

  private static Poke poke(long address, String from, String to, TrapAction action) {
    CodeBytes old = CodeBytes.ofHex(from);
    CodeBytes replacement = CodeBytes.ofHex(to);
    return new Poke(
        new Site(address, old), old.length(), replacement, replacement.length(), action);
  }

  private static ImmutableList<String> words(List<Step> steps) {
    return steps.stream().map(PokeProtocolTest::words).collect(ImmutableList.toImmutableList());
  }

  private static String words(Step step) {
    if (step instanceof Step.Write write) {
      return Long.toHexString(write.address()) + ": " + write.expected() + " -> " + write.bytes();
    }
    return "sync";
  }
}
