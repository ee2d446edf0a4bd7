package io.github.textpoke.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A jump over several instructions:
 *
 * <pre>
 *   1000  55        push rbp          e9 11 22 33 44  jmp
 *   1001  48 89 e5  mov rbp, rsp
 *   1004  90        nop
 * </pre>
 */
class DisplacingPokeTest {
  private static final int INT3 = 0xcc;
  private static final TrapAction REDIRECT = new TrapAction.Redirect(0x7000);
  private static final Site SITE = new Site(0x1000, CodeBytes.ofHex("55 48 89 e5 90"));
  private static final CodeBytes JMP = CodeBytes.ofHex("e9 11 22 33 44");
  private static final List<Boundary> INSIDE =
      List.of(Boundary.copiedTo(1, 0x7001), Boundary.copiedTo(4, 0x7004));
  private static final Poke POKE = Poke.displacing(SITE, 5, INSIDE, JMP, 5, REDIRECT);
  private static final PatchPlan PLAN = PatchPlan.of(INT3, List.of(POKE));
  private static final PatchPlan BACK = PLAN.inverse();

  @Test
  void displacesBehindABreakpointOnEveryBoundaryAndAnEvacuation() {
    assertThat(words(PLAN.steps()))
        .containsExactly(
            "1000: 55 -> cc",
            "1001: 48 -> cc",
            "1004: 90 -> cc",
            "sync",
            "evacuate 5 bytes at 1000: 1001 to 7001, 1004 to 7004",
            "1001: cc 89 e5 cc -> 11 22 33 44",
            "sync",
            "1000: cc -> e9",
            "sync");
  }

  @Test
  void tellsWhyEachStepIsThere() {
    assertThat(PLAN.steps().stream().map(Step::why))
        .containsExactly(
            "breakpoint on the first byte",
            "breakpoint on a boundary inside",
            "breakpoint on a boundary inside",
            "no core can miss a breakpoint",
            "no thread can stand inside",
            "all but the first byte",
            "no core can run a stale tail",
            "first byte",
            "no core can run a stale breakpoint");
  }

  @Test
  void goesBackAsOneInstructionForOne() {
    assertThat(words(BACK.steps()))
        .containsExactly(
            "1000: e9 -> cc",
            "sync",
            "1001: 11 22 33 44 -> 48 89 e5 90",
            "sync",
            "1000: cc -> 55",
            "sync");
  }

  @Test
  void isItsInversesInverse() {
    assertThat(POKE.displaces()).isTrue();
    assertThat(POKE.inverse().displaces()).isFalse();
    assertThat(POKE.inverse().restores()).isTrue();
    assertThat(POKE.inverse().interior()).isEqualTo(POKE.interior());
    assertThat(POKE.inverse().displacedBytes()).isEqualTo(POKE.displacedBytes());
    assertThat(POKE.inverse()).isNotEqualTo(POKE);
    assertThat(POKE.inverse().inverse()).isEqualTo(POKE).hasSameHashCodeAs(POKE);
    assertThat(BACK.inverse()).isEqualTo(PLAN).hasSameHashCodeAs(PLAN);
  }

  @Test
  void knowsItsInstructions() {
    assertThat(POKE.firstOldLength()).isEqualTo(1);
    assertThat(POKE.firstNewLength()).isEqualTo(5);
    assertThat(POKE.inverse().firstOldLength()).isEqualTo(5);
    assertThat(POKE.inverse().firstNewLength()).isEqualTo(1);
    assertThat(INSIDE.stream().map(POKE::instructionAt))
        .containsExactly(CodeBytes.ofHex("48 89 e5"), CodeBytes.ofHex("90"));
    assertThat(INSIDE.stream().map(POKE.inverse()::instructionAt))
        .containsExactly(CodeBytes.ofHex("48 89 e5"), CodeBytes.ofHex("90"));
    assertThatThrownBy(() -> POKE.instructionAt(Boundary.copiedTo(2, 0x7002)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no boundary of 0x1000");
  }

  @Test
  void endsItsLastInstructionBeforeThePadding() {
    Poke padded = Poke.displacing(SITE, 4, INSIDE.subList(0, 1), JMP, 5, REDIRECT);

    assertThat(padded.instructionAt(INSIDE.get(0))).isEqualTo(CodeBytes.ofHex("48 89 e5"));
  }

  @Test
  void isNotEqualWhereABoundaryGoesOnElsewhere() {
    Poke elsewhere =
        Poke.displacing(
            SITE, 5, List.of(INSIDE.get(0), Boundary.copiedTo(4, 0x7005)), JMP, 5, REDIRECT);

    assertThat(elsewhere).isNotEqualTo(POKE);
    assertThat(PatchPlan.of(INT3, List.of(elsewhere))).isNotEqualTo(PLAN);
  }

  @Test
  void isOneForOneWhereNothingIsInside() {
    assertThat(Poke.displacing(SITE, 5, List.of(), JMP, 5, REDIRECT))
        .isEqualTo(new Poke(SITE, 5, JMP, 5, REDIRECT));
  }

  @Test
  void sharesTheSyncsInABatchOfAllKinds() {
    Poke one = new Poke(new Site(0x2000, CodeBytes.of(0x90)), 1, CodeBytes.of(0xc3), 1, REDIRECT);
    Poke back =
        Poke.displacing(
                new Site(0x3000, SITE.bytes()),
                5,
                List.of(Boundary.copiedTo(1, 0x8001)),
                JMP,
                5,
                REDIRECT)
            .inverse();
    PatchPlan plan = PatchPlan.of(INT3, List.of(back, POKE, one));

    assertThat(words(plan.steps()))
        .containsExactly(
            "1000: 55 -> cc",
            "2000: 90 -> cc",
            "3000: e9 -> cc",
            "1001: 48 -> cc",
            "1004: 90 -> cc",
            "sync",
            "evacuate 5 bytes at 1000: 1001 to 7001, 1004 to 7004",
            "1001: cc 89 e5 cc -> 11 22 33 44",
            "3001: 11 22 33 44 -> 48 89 e5 90",
            "sync",
            "1000: cc -> e9",
            "2000: cc -> c3",
            "3000: cc -> 55",
            "sync");
    assertThat(plan.inverse().inverse()).isEqualTo(plan);
  }

  @Test
  void writesATailThatHoldsTheBreakpointItself() {
    Poke poke =
        Poke.displacing(
            SITE, 5, INSIDE, CodeBytes.ofHex("eb 10 cc cc cc"), 2, new TrapAction.Rewind());

    assertThat(words(PatchPlan.of(INT3, List.of(poke)).steps()))
        .contains("1001: cc 89 e5 cc -> 10 cc cc cc");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void givesBackTheBreakpointsOneByOneWhereNothingElseWasWritten(int done) {
    ImmutableList<String> inside = ImmutableList.of("1001: cc -> 48", "1004: cc -> 90");

    assertThat(words(PokeProtocol.rollback(PLAN, done)))
        .isEqualTo(
            ImmutableList.builder()
                .add("sync")
                .addAll(inside.subList(0, done - 1))
                .add("1000: cc -> 55", "sync")
                .build());
  }

  @Test
  void givesBackTheBreakpointsOneByOneAfterTheEvacuationToo() {
    assertThat(words(PokeProtocol.rollback(PLAN, 5)))
        .containsExactly("sync", "1001: cc -> 48", "1004: cc -> 90", "1000: cc -> 55", "sync");
  }

  @Test
  void rollsATailBackBehindTheFirstBreakpointAlone() {
    assertThat(words(PokeProtocol.rollback(PLAN, 6)))
        .containsExactly(
            "sync", "1001: 11 22 33 44 -> 48 89 e5 90", "sync", "1000: cc -> 55", "sync");
    assertThat(words(PokeProtocol.rollback(PLAN, 5, CodeBytes.ofHex("11 22 e5 cc"))))
        .containsExactly(
            "sync", "1001: 11 22 e5 cc -> 48 89 e5 90", "sync", "1000: cc -> 55", "sync");
  }

  @Test
  void rollsAFinishedDisplacementBackAsItsInverse() {
    assertThat(words(PokeProtocol.rollback(PLAN, PLAN.steps().size())))
        .isEqualTo(words(BACK.steps()));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void rollsTheWayBackBackByTheFirstByteAloneWhileNobodyIsInside(int done) {
    assertThat(words(PokeProtocol.rollback(BACK, done)))
        .containsExactly("sync", "1000: cc -> e9", "sync");
  }

  @ParameterizedTest
  @ValueSource(ints = {5, 6})
  void evacuatesWhereTheWayBackIsTakenBackOnceItsCodeIsRun(int done) {
    assertThat(words(PokeProtocol.rollback(BACK, done))).isEqualTo(words(PLAN.steps()));
  }

  @Test
  void refusesToRollBackOverForeignBytesInside() {
    assertThatThrownBy(() -> PokeProtocol.rollback(PLAN, 5, CodeBytes.ofHex("11 22 33 90")))
        .hasMessageContaining("found 11 22 33 90");
  }

  @Test
  void refusesABoundaryWithoutACopy() {
    for (TrapAction action : List.of(new TrapAction.Rewind(), new TrapAction.PassOn())) {
      Poke poke =
          Poke.displacing(
              SITE, 5, List.of(INSIDE.get(0), new Boundary(4, action)), JMP, 5, REDIRECT);

      assertRefused(4, 0x1004, "needs an address in an out-of-line copy", poke);
      assertRefused(4, 0x1004, "needs an address in an out-of-line copy", poke.inverse());
    }
  }

  @Test
  void refusesToPassOnTheFirstBreakpoint() {
    assertRefused(
        4,
        0x1000,
        "would kill it",
        Poke.displacing(SITE, 5, INSIDE, JMP, 5, new TrapAction.PassOn()));
  }

  @Test
  void refusesToDisplaceABreakpoint() {
    Site armed = new Site(0x1000, CodeBytes.ofHex("55 cc 89 e5 90"));

    assertRefused(
        19,
        0x1001,
        "a breakpoint that is not ours can't be displaced",
        Poke.displacing(armed, 5, INSIDE, JMP, 5, REDIRECT));
  }

  @Test
  void refusesToDisplaceWhatABreakpointIsSetOn() {
    CodeBytes armed = SITE.bytes().with(0, CodeBytes.of(INT3));

    assertRefused(
        19,
        0x1000,
        "displaces no other instruction",
        Poke.displacing(SITE, 5, INSIDE, armed, 1, new TrapAction.PassOn()));
  }

  @Test
  void refusesBoundariesThatAreNotInsideOrNotAscending() {
    assertBad("a boundary at offset 0", () -> Boundary.copiedTo(0, 0x7000));
    assertBad(
        "a boundary at offset 5 of code of 5 bytes",
        () -> Poke.displacing(SITE, 5, List.of(Boundary.copiedTo(5, 1)), JMP, 5, REDIRECT));
    assertBad(
        "a boundary at offset 4 of code of 4 bytes",
        () -> Poke.displacing(SITE, 4, INSIDE, JMP, 5, REDIRECT));
    assertBad(
        "boundaries are not ascending: 1",
        () -> Poke.displacing(SITE, 5, List.of(INSIDE.get(0), INSIDE.get(0)), JMP, 5, REDIRECT));
  }

  @Test
  void refusesSeveralInstructionsForSeveral() {
    ImmutableList<Boundary> inside = ImmutableList.copyOf(INSIDE);

    assertBad(
        "one of the codes must be one", () -> new Poke(SITE, 5, JMP, 5, REDIRECT, inside, inside));
  }

  @Test
  void refusesAnEvacuationOfNothing() {
    assertBad("nowhere to stand", () -> new Evacuate(0x1000, 5, ImmutableMap.of(), ""));
    assertBad(
        "0x1005 is not inside of the 5 bytes at 0x1000",
        () -> new Evacuate(0x1000, 5, ImmutableMap.of(0x1005L, 0x7005L), ""));
    assertBad(
        "0x1000 is not inside of the 5 bytes at 0x1000",
        () -> new Evacuate(0x1000, 5, ImmutableMap.of(0x1000L, 0x7000L), ""));
  }

  private static void assertBad(String words, Runnable call) {
    assertThatThrownBy(call::run)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(words);
  }

  private static void assertRefused(int rule, long address, String words, Poke poke) {
    assertThatThrownBy(() -> PatchPlan.of(INT3, List.of(poke)))
        .isInstanceOfSatisfying(
            PlanRefusedException.class,
            refusal -> {
              assertThat(refusal.rule()).isEqualTo(rule);
              assertThat(refusal.address()).isEqualTo(address);
              assertThat(refusal).hasMessageContaining(words);
            });
  }

  private static ImmutableList<String> words(List<Step> steps) {
    return steps.stream().map(DisplacingPokeTest::words).collect(ImmutableList.toImmutableList());
  }

  private static String words(Step step) {
    if (step instanceof Write write) {
      return hex(write.address()) + ": " + write.expected() + " -> " + write.bytes();
    }
    if (step instanceof Evacuate evacuate) {
      return "evacuate "
          + evacuate.length()
          + " bytes at "
          + hex(evacuate.address())
          + evacuate.mapping().entrySet().stream()
              .map(move -> hex(move.getKey()) + " to " + hex(move.getValue()))
              .collect(Collectors.joining(", ", ": ", ""));
    }
    assertThat(step).isInstanceOf(SyncCores.class);
    return "sync";
  }

  private static String hex(long address) {
    return Long.toHexString(address);
  }
}
