package io.github.textpoke.verify;

import static io.github.textpoke.verify.PlanKinds.INT3;
import static io.github.textpoke.verify.PlanKinds.PASS_ON;
import static io.github.textpoke.verify.PlanKinds.REDIRECT;
import static io.github.textpoke.verify.PlanKinds.REWIND;
import static io.github.textpoke.verify.PlanKinds.displacing;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.verify.SiteSearch.Target;
import io.github.textpoke.verify.Verdict.Counterexample;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Several instructions displaced by one: every split of a site, and every way to bend the plan. */
class DisplacementTest {
  private static final long SITE = 0x1000;

  /** The offsets of the boundaries inside, for every split of a site into two or more. */
  private static List<int[]> splits(int length) {
    return IntStream.range(1, 1 << length - 1)
        .mapToObj(
            split ->
                IntStream.range(1, length)
                    .filter(offset -> (split >>> offset - 1 & 1) != 0)
                    .toArray())
        .toList();
  }

  private static PatchPlan plan(int length, int... offsets) {
    return PatchPlan.of(INT3, List.of(displacing(SITE, length, length, REDIRECT, offsets)));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
  void everySplitIsSafeThereAndBack(int length) {
    for (int[] split : splits(length)) {
      for (MemoryModel model : MemoryModel.values()) {
        PatchPlan plan = plan(length, split);
        assertSafe(Verifier.check(plan, model), plan);
        assertSafe(Verifier.check(plan.inverse(), model), plan);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8})
  void everySplitIsTakenBackFromEveryStepAndFromTheMiddleOfEveryWrite(int length) {
    for (int[] split : splits(length)) {
      PatchPlan there = plan(length, split);
      for (PatchPlan plan : List.of(there, there.inverse())) {
        for (MemoryModel model : MemoryModel.values()) {
          for (int done = 0; done <= plan.steps().size(); done++) {
            assertSafe(Verifier.checkRollback(plan, done, model), plan);
            if (done < plan.steps().size() && plan.steps().get(done) instanceof Write write) {
              for (CodeBytes found : partsOf(write)) {
                assertSafe(Verifier.checkRollback(plan, done, found, model), plan);
              }
            }
          }
        }
      }
    }
  }

  /** Every set of bytes of a write that may have landed. */
  private static List<CodeBytes> partsOf(Write write) {
    return IntStream.range(0, 1 << write.bytes().length())
        .mapToObj(
            landed -> {
              CodeBytes bytes = write.expected();
              for (int i = 0; i < bytes.length(); i++) {
                if ((landed >>> i & 1) != 0) {
                  bytes = bytes.with(i, write.bytes().slice(i, i + 1));
                }
              }
              return bytes;
            })
        .toList();
  }

  private static void assertSafe(Verdict verdict, PatchPlan plan) {
    // The description is made only where it is needed: there are a million cases.
    if (!verdict.isSafe()) {
      assertThat(verdict).as("%s%n%s", plan, verdict.text()).isInstanceOf(Verdict.Safe.class);
    }
  }

  /** The several instructions of one may lead inside of the other. */
  @ParameterizedTest
  @EnumSource(MemoryModel.class)
  void onceOneSiteIsEnteredTheWayBackEvacuatesTheOtherToo(MemoryModel model) {
    PatchPlan back =
        PatchPlan.of(
                INT3,
                List.of(
                    displacing(SITE, 5, 5, REDIRECT, 1, 3),
                    displacing(SITE + 64, 5, 5, REDIRECT, 2)))
            .inverse();
    // All but the first byte of the second site, and a core sync.
    int done = back.steps().size() - 2;
    assertSafe(Verifier.checkRollback(back, done, model), back);
    ImmutableList<Step> way =
        ImmutableList.<Step>builder()
            .addAll(back.steps().subList(0, done))
            .addAll(PokeProtocol.rollback(back, done))
            .build();
    assertSafe(Verifier.check(back, way, Target.OLD, model), back);
    assertThat(way).filteredOn(Evacuate.class::isInstance).hasSize(2);
    for (Step evacuation : way.stream().filter(Evacuate.class::isInstance).toList()) {
      ImmutableList<Step> bent =
          way.stream().filter(step -> step != evacuation).collect(ImmutableList.toImmutableList());
      assertThat(Verifier.check(back, bent, Target.OLD, model).text())
          .contains("neither old nor new");
    }
  }

  @ParameterizedTest
  @EnumSource(MemoryModel.class)
  void withoutTheEvacuationAThreadRunsTheMiddleOfTheNewInstruction(MemoryModel model) {
    PatchPlan plan = plan(5, 1, 3);
    PatchPlan bent = PlanKinds.without(plan, indexOf(plan, Evacuate.class::isInstance));

    assertThat(Verifier.check(bent, model).text())
        .isEqualTo(
            "in or after step 5 of 8 (write 81 82 83 84 at 0x1001: all but the first byte), a"
                + " thread at 0x1001 may run [81 12 cc 14], which is neither old nor new code;"
                + " seen: 81 new (step 5), 12 old, cc breakpoint (step 3), 14 old; old code [10 11"
                + " 12 13 14], new code [80 81 82 83 84], "
                + model.words()
                + " memory");
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8})
  void everyStepThatIsDroppedIsMissed(int length) {
    for (int[] split : splits(length)) {
      PatchPlan plan = plan(length, split);
      for (int i = 0; i < plan.steps().size(); i++) {
        Step step = plan.steps().get(i);
        PatchPlan bent = PlanKinds.without(plan, i);
        boolean writesTheEnd = step instanceof Write write && write.bytes().at(0) != INT3;
        if (!writesTheEnd) {
          assertCaught("without " + step, bent, MemoryModel.CONSERVATIVE);
          boolean second =
              step instanceof SyncCores && i == indexOf(plan, SyncCores.class::isInstance) + 3;
          if (!second) {
            assertCaught("without " + step, bent, MemoryModel.PROGRAM_ORDER);
          }
        } else {
          assertThat(Verifier.check(bent).isSafe()).isFalse();
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8})
  void everySyncThatIsDroppedFromTheWayBackIsMissed(int length) {
    for (int[] split : splits(length)) {
      PatchPlan back = plan(length, split).inverse();
      for (int i = 0; i < back.steps().size(); i++) {
        if (back.steps().get(i) instanceof SyncCores) {
          assertCaught("without " + (i + 1), PlanKinds.without(back, i), MemoryModel.CONSERVATIVE);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 5, 8})
  void everySwapOfTwoStepsThatDifferIsCaught(int length) {
    for (int[] split : splits(length)) {
      PatchPlan plan = plan(length, split);
      for (int i = 0; i < plan.steps().size(); i++) {
        for (int j = i + 1; j < plan.steps().size(); j++) {
          if (isSameKind(plan.steps().get(i), plan.steps().get(j))) {
            continue; // the same plan, or breakpoints in another order
          }
          List<Step> steps = new ArrayList<>(plan.steps());
          Collections.swap(steps, i, j);
          assertCaught(
              "step " + (i + 1) + " for " + (j + 1),
              PlanKinds.bent(plan, steps),
              MemoryModel.CONSERVATIVE);
        }
      }
    }
  }

  private static boolean isSameKind(Step one, Step other) {
    return one instanceof SyncCores && other instanceof SyncCores
        || isBreakpoint(one) && isBreakpoint(other);
  }

  private static boolean isBreakpoint(Step step) {
    return step instanceof Write write && write.bytes().equals(CodeBytes.of(INT3));
  }

  @Test
  void aTailWrittenEarlyIsCaughtWhereverItIsWritten() {
    PatchPlan plan = plan(5, 1, 3);
    int tail = indexOf(plan, step -> step instanceof Write write && write.bytes().length() > 1);
    assertThat(tail).isEqualTo(5);
    for (int early = 0; early < tail; early++) {
      List<Step> steps = new ArrayList<>(plan.steps());
      steps.add(early, steps.remove(tail));
      PatchPlan bent = PlanKinds.bent(plan, steps);

      assertThat(assertCaught("tail as step " + (early + 1), bent, MemoryModel.CONSERVATIVE).step())
          .isEqualTo(early + 1);
      assertCaught("tail as step " + (early + 1), bent, MemoryModel.PROGRAM_ORDER);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void anInteriorBreakpointWithoutATrapActionIsCaught(int forgotten) {
    assertThat(withTrapAction(forgotten, PASS_ON).text())
        .contains("breakpoint on a boundary inside), a thread at 0x" + (1000 + forgotten))
        .contains("may run [cc], a breakpoint that is passed on to the program")
        .contains("no trap action");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void anInteriorBreakpointThatIsWaitedAtIsCaught(int forgotten) {
    assertThat(withTrapAction(forgotten, REWIND).text())
        .contains("a thread at 0x" + (1000 + forgotten))
        .contains("may run [cc], a breakpoint that is waited at, and then the middle of another");
  }

  /** The verdict on the steps of a good plan, whose pokes have another trap action at one place. */
  private static Verdict withTrapAction(int offset, TrapAction action) {
    PatchPlan good = plan(5, 1, 3);
    Poke poke = good.pokes().get(0);
    Poke forgetful =
        Poke.displacing(
            poke.site(),
            poke.oldLength(),
            poke.oldInterior().stream()
                .map(there -> there.offset() == offset ? new Boundary(offset, action) : there)
                .toList(),
            poke.replacement(),
            poke.newLength(),
            poke.trapAction());
    return Verifier.check(new PatchPlan(INT3, ImmutableList.of(forgetful), good.steps()));
  }

  @Test
  void theFirstBreakpointNeedsATrapActionToo() {
    PatchPlan good = plan(5, 1, 3);
    Poke forgetful = displacing(SITE, 5, 5, PASS_ON, 1, 3);

    assertThat(
            Verifier.check(new PatchPlan(INT3, ImmutableList.of(forgetful), good.steps())).text())
        .contains("a thread at 0x1000 may run [cc], a breakpoint that is passed on");
  }

  @Test
  void anEvacuationThatLeavesABoundaryOutIsRefused() {
    assertThat(withMapping(5, ImmutableMap.of(SITE + 1, PlanKinds.COPY + 1)))
        .isEqualTo("step 5: evacuate 0x1000: bent leaves out 0x1003");
  }

  @Test
  void anEvacuationToAnotherAddressThanTheTrapActionsIsRefused() {
    assertThat(
            withMapping(
                5, ImmutableMap.of(SITE + 1, PlanKinds.COPY + 1, SITE + 3, PlanKinds.COPY + 4)))
        .contains("moves from 0x1003 to 0x70000004, and the breakpoint there does not");
  }

  @Test
  void anEvacuationOfPlacesWhereNobodyCanStandIsRefused() {
    assertThat(
            withMapping(
                5,
                ImmutableMap.of(
                    SITE + 1, PlanKinds.COPY + 1,
                    SITE + 2, PlanKinds.COPY + 2,
                    SITE + 3, PlanKinds.COPY + 3)))
        .contains("moves threads that can't stand there");
  }

  @Test
  void anEvacuationOfAPartOfASiteIsRefused() {
    assertThat(withMapping(4, ImmutableMap.of(SITE + 1, PlanKinds.COPY + 1)))
        .contains("is not of one site");
  }

  private static String withMapping(int length, ImmutableMap<Long, Long> mapping) {
    PatchPlan plan = plan(5, 1, 3);
    List<Step> steps = new ArrayList<>(plan.steps());
    steps.set(
        indexOf(plan, Evacuate.class::isInstance), new Evacuate(SITE, length, mapping, "bent"));
    return Verifier.check(PlanKinds.bent(plan, steps)).text();
  }

  @Test
  void aCopyInsideOfASiteIsRefused() {
    Poke poke =
        Poke.displacing(
            displacing(SITE, 5, 5, REDIRECT, 1).site(),
            5,
            List.of(Boundary.copiedTo(1, SITE + 4)),
            CodeBytes.ofHex("80 81 82 83 84"),
            5,
            REDIRECT);

    assertThat(Verifier.check(PatchPlan.of(INT3, List.of(poke))).text())
        .contains("redirects to 0x1004, inside a site");
  }

  @Test
  void aWayBackThatIsTakenBackOnceThreadsRunItsCodeEvacuatesThem() {
    PatchPlan back = plan(5, 1, 3).inverse();
    int firstByteWritten = 5;
    List<Step> steps = new ArrayList<>(back.steps().subList(0, firstByteWritten));
    steps.addAll(PokeProtocol.rollback(back, firstByteWritten));
    int evacuation = firstByteWritten + 4;
    assertThat(steps.get(evacuation)).isInstanceOf(Evacuate.class);

    for (int dropped = firstByteWritten; dropped <= evacuation; dropped++) {
      List<Step> bent = new ArrayList<>(steps);
      bent.remove(dropped);
      Verdict verdict =
          Verifier.check(
              back, PlanKinds.bent(back, bent).steps(), Target.OLD, MemoryModel.CONSERVATIVE);
      assertThat(verdict).as("without step %s", dropped + 1).isInstanceOf(Counterexample.class);
    }
  }

  @Test
  void theStatesGrowWithTheBytesAndNotWithTheirCombinations() {
    long few = Verifier.check(plan(8, 1, 2, 3, 4, 5, 6, 7)).orThrow().states();
    long many = Verifier.check(plan(16, IntStream.range(1, 16).toArray())).orThrow().states();

    // Each breakpoint is a step, and each step looks at each byte: quadratic at most.
    assertThat(many).isLessThan(5 * few).isLessThan(1_000);
  }

  @Test
  void saysWhatTheBytesInsideReadAsWhereThereIsADecoder() {
    PatchPlan plan = plan(5, 1, 3);
    PatchPlan bent = PlanKinds.without(plan, indexOf(plan, Evacuate.class::isInstance));
    Counterexample counterexample = assertCaught("", bent, MemoryModel.CONSERVATIVE);

    assertThat(counterexample.text(new NamesTheFirstByte()))
        .endsWith("; it runs 'i81', old is 'i11', new is inside of 'i80'");
  }

  private static int indexOf(PatchPlan plan, Predicate<Step> condition) {
    for (int i = 0; i < plan.steps().size(); i++) {
      if (condition.test(plan.steps().get(i))) {
        return i;
      }
    }
    throw new AssertionError("no such step: " + plan.steps());
  }

  private static Counterexample assertCaught(String how, PatchPlan bent, MemoryModel model) {
    Verdict verdict = Verifier.check(bent, model);
    if (!(verdict instanceof Counterexample)) {
      assertThat(verdict).as("%s, %s: %s", how, bent, verdict.text()).isNull();
    }
    return (Counterexample) verdict;
  }

  /** Takes every byte for an instruction. */
  private static final class NamesTheFirstByte implements InstructionDecoder {
    @Override
    public String name() {
      return "one byte";
    }

    @Override
    public long decode(CodeRegion code, int offset) {
      return Decoded.pack(1, Flow.NOP, 0, 0, 0, 0, 0);
    }

    @Override
    public String format(CodeRegion code, int offset) {
      return "i" + Integer.toHexString(code.bytes().at(offset));
    }
  }
}
