package io.github.textpoke.verify;

import static io.github.textpoke.verify.PlanKinds.INT3;
import static io.github.textpoke.verify.PlanKinds.PASS_ON;
import static io.github.textpoke.verify.PlanKinds.REWIND;
import static io.github.textpoke.verify.PlanKinds.replacing;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnsafePlanException;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.verify.PlanKinds.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class VerifierTest {
  private static final long PAGE_END = 0x2000;

  static Stream<Kind> kindsOfEveryLength() {
    return IntStream.rangeClosed(1, 15)
        .boxed()
        .flatMap(length -> PlanKinds.all(PAGE_END - 2, length).stream());
  }

  @ParameterizedTest
  @EnumSource(MemoryModel.class)
  void provesEveryKindOfEveryLengthAtEveryOffsetAcrossAPage(MemoryModel model) {
    for (int length = 1; length <= 15; length++) {
      for (int before = 0; before <= length; before++) {
        for (Kind kind : PlanKinds.all(PAGE_END - before, length)) {
          Verdict verdict = Verifier.check(kind.plan(), model);

          assertThat(verdict)
              .as("%s, %s bytes before the page's end: %s", kind, before, verdict.text())
              .isInstanceOf(Verdict.Safe.class);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kindsOfEveryLength")
  void provesTheRollbackFromEveryPrefix(Kind kind) {
    for (MemoryModel model : MemoryModel.values()) {
      for (int done = 0; done <= kind.plan().steps().size(); done++) {
        Verdict verdict = Verifier.checkRollback(kind.plan(), done, model);

        assertThat(verdict)
            .as("%s, cut after %s steps: %s", kind, done, verdict.text())
            .isInstanceOf(Verdict.Safe.class);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kindsOfEveryLength")
  void provesTheRollbackOfARollbackThatWasCutOff(Kind kind) {
    PatchPlan plan = kind.plan();
    for (int done = 1; done <= plan.steps().size(); done++) {
      ImmutableList<Step> steps =
          ImmutableList.<Step>builder()
              .addAll(plan.steps().subList(0, done))
              .addAll(PokeProtocol.rollback(plan, done))
              .build();
      PatchPlan both = new PatchPlan(INT3, plan.pokes(), steps);
      for (int again = done; again <= steps.size(); again++) {
        Verdict verdict = Verifier.checkRollback(both, again, MemoryModel.CONSERVATIVE);

        assertThat(verdict)
            .as("%s, cut after %s and %s steps: %s", kind, done, again, verdict.text())
            .isInstanceOf(Verdict.Safe.class);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kindsOfEveryLength")
  void provesTheRollbackFromTheMiddleOfEveryWrite(Kind kind) {
    SplittableRandom random = new SplittableRandom(4);
    for (int done = 0; done < kind.plan().steps().size(); done++) {
      if (kind.plan().steps().get(done) instanceof Write write) {
        for (int landed = 0; landed < 20; landed++) {
          CodeBytes found = someLanded(write, random);
          Verdict verdict =
              Verifier.checkRollback(kind.plan(), done, found, MemoryModel.CONSERVATIVE);

          assertThat(verdict)
              .as("%s, step %s left %s: %s", kind, done + 1, found, verdict.text())
              .isInstanceOf(Verdict.Safe.class);
        }
      }
    }
  }

  private static CodeBytes someLanded(Write write, SplittableRandom random) {
    CodeBytes found = write.expected();
    for (int i = 0; i < found.length(); i++) {
      if (random.nextBoolean()) {
        found = found.with(i, write.bytes().slice(i, i + 1));
      }
    }
    return found;
  }

  @Test
  void agreesWithBruteForceOnTwentyThousandBentPlans() {
    SplittableRandom random = new SplittableRandom(17);
    int[] safe = new int[2];
    int[] safeDisplacing = new int[2];
    int cases = 0;
    while (cases < 10_000) {
      PatchPlan plan = bentAtRandom(random);
      if (plan == null) {
        continue;
      }
      cases++;
      for (MemoryModel model : MemoryModel.values()) {
        boolean expected = BruteForce.isSafe(plan, model);
        safe[expected ? 1 : 0]++;
        safeDisplacing[expected ? 1 : 0] += plan.pokes().get(0).displaces() ? 1 : 0;
        Verdict verdict = Verifier.check(plan, model);
        assertThat(verdict.isSafe()).as("%s%n%s", plan, verdict.text()).isEqualTo(expected);
      }
    }
    assertThat(safe[0]).as("unsafe ones").isGreaterThan(2_000);
    assertThat(safe[1]).as("safe ones").isGreaterThan(2_000);
    assertThat(safeDisplacing[0]).as("unsafe ones that displace").isGreaterThan(500);
    assertThat(safeDisplacing[1]).as("safe ones that displace").isGreaterThan(500);
  }

  /** A small plan with steps dropped or moved; null where its bytes make no sense. */
  private static @Nullable PatchPlan bentAtRandom(SplittableRandom random) {
    int length = 1 + random.nextInt(4);
    CodeBytes old = fewValues(length, random);
    CodeBytes fresh = fewValues(length, random);
    int oldLength = 1 + random.nextInt(length);
    int newLength = 1 + random.nextInt(length);
    long address = PAGE_END - random.nextInt(length + 1);
    Poke poke =
        Poke.displacing(
            new Site(address, old),
            oldLength,
            someBoundaries(oldLength, random),
            fresh,
            newLength,
            REWIND);
    int shorter = Math.min(poke.firstOldLength(), newLength);
    if (poke.firstOldLength() != newLength
        && old.slice(0, shorter).equals(fresh.slice(0, shorter))) {
      return null; // one instruction would be the beginning of the other
    }
    PatchPlan plan = PatchPlan.of(INT3, List.of(random.nextBoolean() ? poke : poke.inverse()));
    List<Step> steps = new ArrayList<>(plan.steps());
    for (int bend = random.nextInt(3); bend > 0 && steps.size() > 1; bend--) {
      int at = random.nextInt(steps.size());
      Step step = steps.remove(at);
      if (random.nextBoolean()) {
        steps.add(random.nextInt(steps.size() + 1), step);
      }
    }
    return PlanKinds.bent(plan, steps);
  }

  private static List<Boundary> someBoundaries(int length, SplittableRandom random) {
    return IntStream.range(1, length)
        .filter(offset -> random.nextInt(3) == 0)
        .mapToObj(PlanKinds::boundary)
        .toList();
  }

  private static CodeBytes fewValues(int length, SplittableRandom random) {
    int[] bytes = new int[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = 1 + random.nextInt(3);
    }
    return CodeBytes.of(bytes);
  }

  @Test
  void wantsTheTrapActionUntilTheEnd() {
    Poke forgetful = replacing(0x1000, 5, 5, 5, PASS_ON);
    PatchPlan plan =
        new PatchPlan(
            INT3,
            ImmutableList.of(forgetful),
            PatchPlan.of(INT3, List.of(replacing(0x1000, 5, 5, 5, REWIND))).steps());

    assertThat(Verifier.check(plan).text())
        .startsWith("in or after step 1 of 6 (write cc at 0x1000: breakpoint on the first byte)")
        .contains("may run [cc], a breakpoint that is passed on to the program")
        .contains("no trap action");
  }

  @Test
  void refusesARedirectIntoASite() {
    Poke poke = replacing(0x1000, 5, 5, 5, new TrapAction.Redirect(0x1004));

    assertThat(Verifier.check(PatchPlan.of(INT3, List.of(poke))).text())
        .contains("redirects to 0x1004, inside a site");
  }

  @Test
  void refusesABreakpointThatStaysAndRewinds() {
    PatchPlan good = PatchPlan.of(INT3, List.of(PlanKinds.arming(0x1000, 5, PASS_ON)));
    Poke waiting = PlanKinds.arming(0x1000, 5, REWIND);
    PatchPlan plan = new PatchPlan(INT3, ImmutableList.of(waiting), good.steps());

    assertThat(Verifier.check(plan).text()).contains("a rewind waits for ever");
  }

  @Test
  void refusesAWriteOutsideOfEverySite() {
    PatchPlan plan = withStep(new Write(0x1005, bytes("90"), bytes("91"), "astray"));

    assertThat(Verifier.check(plan).text())
        .isEqualTo("step 7: write 91 at 0x1005: astray is not inside one site");
  }

  @Test
  void refusesExpectedBytesThatCannotStandThere() {
    PatchPlan plan = withStep(new Write(0x1000, bytes("90"), bytes("80"), "again"));

    assertThat(Verifier.check(plan).text()).contains("step 7").contains("[90] where [80] stands");
  }

  @Test
  void refusesAWriteAcrossAPage() {
    Poke poke = replacing(PAGE_END - 2, 5, 5, 5, REWIND);
    PatchPlan plan = PatchPlan.of(INT3, List.of(poke));
    List<Step> steps = new ArrayList<>(plan.steps());
    steps.subList(2, 4).clear();
    steps.add(2, new Write(PAGE_END - 1, bytes("11 12 13 14"), bytes("81 82 83 84"), "tail"));

    assertThat(Verifier.check(PlanKinds.bent(plan, steps)).text()).contains("crosses a page");
  }

  @Test
  void refusesAPlanThatDoesNotDoItsPokes() {
    PatchPlan plan =
        new PatchPlan(
            INT3, ImmutableList.of(replacing(0x1000, 5, 5, 5, REWIND)), ImmutableList.of());

    assertThat(Verifier.check(plan).text())
        .isEqualTo("the steps end with [10 11 12 13 14] at 0x1000, not 80 81 82 83 84");
  }

  @Test
  void refusesAPlanWithoutPokes() {
    assertThat(Verifier.check(new PatchPlan(INT3, ImmutableList.of(), ImmutableList.of())).text())
        .isEqualTo("a plan without pokes");
  }

  @Test
  void refusesSitesThatAreNotSorted() {
    PatchPlan good =
        PatchPlan.of(
            INT3, List.of(replacing(0x1000, 5, 5, 5, REWIND), replacing(0x2000, 5, 5, 5, REWIND)));
    PatchPlan plan = new PatchPlan(INT3, good.pokes().reverse(), good.steps());

    assertThat(Verifier.check(plan).text()).contains("not sorted or overlap");
  }

  @Test
  void throwsTheCounterexample() {
    PatchPlan plan =
        PlanKinds.without(PatchPlan.of(INT3, List.of(replacing(0x1000, 5, 5, 5, REWIND))), 1);

    assertThatThrownBy(() -> Verifier.check(plan).orThrow())
        .isInstanceOf(UnsafePlanException.class)
        .hasMessageContaining(Verifier.check(plan).text());
  }

  @Test
  void countsWhatItExplored() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(replacing(0x1000, 5, 5, 5, REWIND)));

    Verdict.Safe safe = Verifier.check(plan).orThrow();

    assertThat(safe.prefixes()).isEqualTo(7);
    assertThat(safe.states()).isPositive();
    assertThat(safe.text()).startsWith("safe in every interleaving (conservative memory");
  }

  private static PatchPlan withStep(Step step) {
    PatchPlan plan = PatchPlan.of(INT3, List.of(replacing(0x1000, 5, 5, 5, REWIND)));
    return new PatchPlan(
        INT3, plan.pokes(), ImmutableList.<Step>builder().addAll(plan.steps()).add(step).build());
  }

  private static CodeBytes bytes(String hex) {
    return CodeBytes.ofHex(hex);
  }
}
