package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.apply.TrapDesk.Decision;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class TrapDeskTest {
  private static final int INT3 = 0xcc;
  private static final long A = 0x401000;
  private static final long B = 0x402010;
  private static final long COPY = 0x7f0000;

  /** In the upper half: negative as a long. */
  private static final long HIGH = 0xffff_ffff_8100_0000L;

  private final TrapDesk desk = new TrapDesk();

  private static CompiledPlan plan(TrapAction action, long... sites) {
    List<Poke> pokes = new ArrayList<>();
    for (long site : sites) {
      pokes.add(
          new Poke(
              new Site(site, CodeBytes.of(0x0f, 0x1f, 0x44, 0, 0)),
              5,
              CodeBytes.of(0xe9, 1, 2, 3, 4),
              5,
              action));
    }
    PatchPlan plan = PatchPlan.of(INT3, pokes);
    return new CompiledPlan(plan, plan.steps());
  }

  /** The plan that puts a breakpoint of the program's own at {@code site}. */
  private static CompiledPlan arming(long site) {
    Poke poke =
        new Poke(
            new Site(site, CodeBytes.of(0x90)), 1, CodeBytes.of(INT3), 1, new TrapAction.PassOn());
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke));
    return new CompiledPlan(plan, plan.steps());
  }

  private static CompiledPlan plan(long... sites) {
    return plan(new TrapAction.Rewind(), sites);
  }

  @Test
  void passesOnWhileNothingIsPatched() {
    assertThat(desk.decide(A)).isEqualTo(Decision.PASS_ON);
    assertThat(desk.current()).isNull();
    assertThat(desk.mayTrapLate()).isFalse();
  }

  @Test
  void parksAtEverySiteOfTheCurrentPlan() {
    CompiledPlan plan = plan(A, B, HIGH);
    desk.begin(plan);
    assertThat(desk.current()).isSameAs(plan);
    assertThat(desk.decide(A)).isEqualTo(Decision.PARK);
    assertThat(desk.decide(B)).isEqualTo(Decision.PARK);
    assertThat(desk.decide(HIGH)).isEqualTo(Decision.PARK);
  }

  @Test
  void passesOnInsideAndAroundASite() {
    desk.begin(plan(A, B));
    for (long offset : new long[] {-1, 1, 2, 3, 4, 5}) {
      assertThat(desk.decide(A + offset)).isEqualTo(Decision.PASS_ON);
      assertThat(desk.decide(B + offset)).isEqualTo(Decision.PASS_ON);
    }
  }

  @Test
  void passesOnABreakpointThatTheProgramArmedForItself() {
    desk.begin(arming(A));
    assertThat(desk.decide(A)).isEqualTo(Decision.PASS_ON);
    desk.retire();
    assertThat(desk.decide(A)).isEqualTo(Decision.PASS_ON);
  }

  /** Whether the trap is late or the program's own, memory tells: the desk doesn't know. */
  @Test
  void rewindsIfGoneWhereTheProgramArmsASiteThatWasPatchedBefore() {
    desk.begin(plan(A));
    desk.retire();
    desk.begin(arming(A));
    assertThat(desk.decide(A)).isEqualTo(Decision.REWIND_IF_GONE);
  }

  @Test
  void parksWhereTheTrapIsRedirected() {
    desk.begin(plan(new TrapAction.Redirect(A + 5), A));
    assertThat(desk.decide(A)).isEqualTo(Decision.PARK);
  }

  private static CompiledPlan displacing(long site, TrapAction action) {
    Poke poke =
        Poke.displacing(
            new Site(site, CodeBytes.ofHex("55 48 89 e5 90")),
            5,
            List.of(Boundary.copiedTo(1, COPY + 1), Boundary.copiedTo(4, COPY + 4)),
            CodeBytes.ofHex("e9 11 22 33 44"),
            5,
            action);
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke));
    return new CompiledPlan(plan, plan.steps());
  }

  @Test
  void redirectsFromEveryBoundaryOfDisplacedCode() {
    desk.begin(displacing(A, new TrapAction.Redirect(COPY)));
    for (long offset : new long[] {0, 1, 4}) {
      assertThat(desk.decide(A + offset)).isEqualTo(Decision.REDIRECT);
      assertThat(desk.copyOf(A + offset)).isEqualTo(COPY + offset);
    }
    assertThat(desk.decide(A + 2)).isEqualTo(Decision.PASS_ON);
  }

  @Test
  void parksOnTheFirstByteOfDisplacedCodeThatHasNoCopyToStartIn() {
    desk.begin(displacing(A, new TrapAction.Rewind()));
    assertThat(desk.decide(A)).isEqualTo(Decision.PARK);
    assertThat(desk.decide(A + 1)).isEqualTo(Decision.REDIRECT);
  }

  @Test
  void redirectsLateTrapsInsideAndRewindsThoseOnTheFirstByte() {
    CompiledPlan plan = displacing(A, new TrapAction.Redirect(COPY));
    desk.begin(plan);
    desk.retire();
    assertThat(desk.decide(A)).isEqualTo(Decision.REWIND_IF_GONE);
    assertThat(desk.decide(A + 4)).isEqualTo(Decision.REDIRECT_IF_GONE);
    assertThat(desk.copyOf(A + 4)).isEqualTo(COPY + 4);
    assertThat(desk.retiredAround(A + 4)).isEqualTo(plan.plan.pokes().get(0));
    assertThat(desk.retiredAround(A)).isNull();
    desk.forget();
    assertThat(desk.decide(A + 4)).isEqualTo(Decision.PASS_ON);
  }

  /** The jump may stand there: to run the boundary again would run the middle of it. */
  @Test
  void redirectsALateTrapInsideThoughABoundaryWasPatchedByItselfLater() {
    desk.begin(displacing(A, new TrapAction.Redirect(COPY)));
    desk.retire();
    desk.begin(plan(A + 1));
    desk.retire();
    assertThat(desk.decide(A + 1)).isEqualTo(Decision.REDIRECT_IF_GONE);
  }

  @Test
  void rewindsAtARetiredSite() {
    desk.begin(plan(A));
    desk.retire();
    assertThat(desk.current()).isNull();
    assertThat(desk.mayTrapLate()).isTrue();
    assertThat(desk.decide(A)).isEqualTo(Decision.REWIND_IF_GONE);
    assertThat(desk.decide(B)).isEqualTo(Decision.PASS_ON);
  }

  @Test
  void rewindsAtTheSitesOfAllRetiredPlans() {
    desk.begin(plan(A));
    desk.retire();
    desk.begin(plan(HIGH));
    desk.retire();
    desk.begin(plan(B));
    assertThat(desk.decide(A)).isEqualTo(Decision.REWIND_IF_GONE);
    assertThat(desk.decide(HIGH)).isEqualTo(Decision.REWIND_IF_GONE);
    assertThat(desk.decide(B)).isEqualTo(Decision.PARK);
  }

  @Test
  void parksAtASiteThatIsPatchedAgain() {
    desk.begin(plan(A));
    desk.retire();
    desk.begin(plan(A));
    assertThat(desk.decide(A)).isEqualTo(Decision.PARK);
  }

  @Test
  void remembersAPlanOnceHoweverOftenItIsDone() {
    CompiledPlan plan = plan(A);
    for (int i = 0; i < 3; i++) {
      desk.begin(plan);
      desk.retire();
    }
    assertThat(desk.retired()).containsExactly(plan);
  }

  @Test
  void retiringNothingRemembersNothing() {
    desk.retire();
    assertThat(desk.mayTrapLate()).isFalse();
    assertThat(desk.retired()).isEmpty();
  }

  @Test
  void forgetsRetiredSitesButNotCurrentOnes() {
    desk.begin(plan(A));
    desk.retire();
    desk.begin(plan(B));
    desk.forget();
    assertThat(desk.mayTrapLate()).isFalse();
    assertThat(desk.decide(A)).isEqualTo(Decision.PASS_ON);
    assertThat(desk.decide(B)).isEqualTo(Decision.PARK);
  }
}
