package io.github.textpoke.verify;

import static io.github.textpoke.verify.PlanKinds.INT3;
import static io.github.textpoke.verify.PlanKinds.REWIND;
import static io.github.textpoke.verify.PlanKinds.replacing;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.verify.Verdict.Counterexample;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The protocol bent in every way that it can be: each must be caught. The bytes of the tail all
 * differ; a site of one byte has no tail, and a store of one byte can't be seen half done.
 */
class ProtocolMutationTest {
  private static final int FIRST_SYNC = 1;
  private static final int SECOND_SYNC = 3;
  private static final int THIRD_SYNC = 5;

  private static PatchPlan plan(int length) {
    return PatchPlan.of(INT3, List.of(replacing(0x1000, length, length, length, REWIND)));
  }

  @Test
  void withoutTheFirstSyncAnOldFirstByteMeetsANewTail() {
    Verdict verdict = Verifier.check(PlanKinds.without(plan(5), FIRST_SYNC));

    assertThat(verdict.text())
        .isEqualTo(
            "in or after step 2 of 5 (write 81 82 83 84 at 0x1001: all but the first byte), a"
                + " thread at 0x1000 may run [10 81 12 13 14], which is neither old nor new code;"
                + " seen: 10 old, 81 new (step 2), 12 13 14 old; old code [10 11 12 13 14], new code"
                + " [80 81 82 83 84], conservative memory");
  }

  @Test
  void withoutTheSecondSyncANewFirstByteMeetsAnOldTail() {
    Verdict verdict = Verifier.check(PlanKinds.without(plan(2), SECOND_SYNC));

    assertThat(verdict.text())
        .startsWith("in or after step 4 of 5 (write 80 at 0x1000: first byte), a thread at 0x1000")
        .contains("may run [80 11], which is neither old nor new code")
        .contains("seen: 80 new (step 4), 11 old;");
  }

  @Test
  void withoutTheThirdSyncABreakpointIsRunWhenNobodyTakesIt() {
    Verdict verdict = Verifier.check(PlanKinds.without(plan(5), THIRD_SYNC));

    assertThat(verdict.text())
        .startsWith("after all 5 steps (write 80 at 0x1000: first byte), a thread at 0x1000")
        .contains("may run [cc], a breakpoint of which nobody takes the trap")
        .contains("seen: cc breakpoint (step 1);");
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
  void everySyncThatIsDroppedIsMissed(int length) {
    for (int sync : new int[] {FIRST_SYNC, SECOND_SYNC, THIRD_SYNC}) {
      PatchPlan bent = PlanKinds.without(plan(length), sync);
      assertCaught("without step " + (sync + 1), bent);
      assertCaught("inverse of that", PlanKinds.without(plan(length).inverse(), sync));
    }
  }

  @Test
  void programOrderForgivesTheSecondSyncAloneAsIntelBelieves() {
    PatchPlan plan = plan(5);

    assertThat(check(plan, FIRST_SYNC, MemoryModel.PROGRAM_ORDER).isSafe()).isFalse();
    assertThat(check(plan, SECOND_SYNC, MemoryModel.PROGRAM_ORDER).isSafe()).isTrue();
    assertThat(check(plan, THIRD_SYNC, MemoryModel.PROGRAM_ORDER).isSafe()).isFalse();
    assertThat(check(plan, SECOND_SYNC, MemoryModel.CONSERVATIVE).isSafe()).isFalse();
  }

  private static Verdict check(PatchPlan plan, int dropped, MemoryModel model) {
    return Verifier.check(PlanKinds.without(plan, dropped), model);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
  void everySwapOfTwoStepsIsCaught(int length) {
    PatchPlan plan = plan(length);
    int swaps = 0;
    for (int i = 0; i < plan.steps().size(); i++) {
      for (int j = i + 1; j < plan.steps().size(); j++) {
        if (plan.steps().get(i) instanceof SyncCores && plan.steps().get(j) instanceof SyncCores) {
          continue; // the same plan
        }
        List<Step> steps = new ArrayList<>(plan.steps());
        Collections.swap(steps, i, j);
        assertCaught("step " + (i + 1) + " for " + (j + 1), PlanKinds.bent(plan, steps));
        swaps++;
      }
    }
    assertThat(swaps).isEqualTo(12);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 5, 15})
  void aFirstByteWrittenEarlyIsCaughtWhereverItIsWritten(int length) {
    PatchPlan plan = plan(length);
    for (int early = 0; early < 4; early++) {
      List<Step> steps = new ArrayList<>(plan.steps());
      steps.add(early, steps.remove(4));
      assertCaught("first byte as step " + (early + 1), PlanKinds.bent(plan, steps));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 5, 15})
  void allBytesAtOnceAreCaught(int length) {
    PatchPlan plan = plan(length);
    CodeBytes old = plan.pokes().get(0).site().bytes();
    CodeBytes replacement = plan.pokes().get(0).replacement();
    List<Step> steps =
        List.of(new Write(0x1000, old, replacement, "all at once"), new SyncCores("after it"));

    Verdict verdict = Verifier.check(PlanKinds.bent(plan, steps));

    assertThat(verdict.text()).contains("step 1 of 2 (write " + replacement + " at 0x1000");
    assertThat(Verifier.check(PlanKinds.bent(plan, steps), MemoryModel.PROGRAM_ORDER).isSafe())
        .isFalse();
  }

  @Test
  void aSyncThatOneSiteOfABatchNeedsIsMissed() {
    PatchPlan plan =
        PatchPlan.of(
            INT3,
            List.of(
                replacing(0x1000, 1, 1, 1, REWIND),
                replacing(0x2000, 1, 1, 1, REWIND),
                replacing(0x3000, 5, 5, 5, REWIND)));

    for (int step = 0; step < plan.steps().size(); step++) {
      if (plan.steps().get(step) instanceof SyncCores) {
        assertThat(assertCaught("without step " + (step + 1), PlanKinds.without(plan, step)))
            .matches(counterexample -> counterexample.step() > 0);
      }
    }
  }

  @Test
  void aRollbackWithoutOneOfItsLastTwoSyncsIsCaught() {
    PatchPlan plan = plan(5);
    for (int done = 3; done <= plan.steps().size(); done++) {
      List<Step> steps = new ArrayList<>(plan.steps().subList(0, done));
      steps.addAll(PokeProtocol.rollback(plan, done));
      int last = steps.size() - 1;
      for (int sync : new int[] {last - 2, last}) {
        List<Step> bent = new ArrayList<>(steps);
        assertThat(bent.remove(sync)).isInstanceOf(SyncCores.class);
        assertThat(checkRollback(plan, bent))
            .as("cut after %s steps, without step %s", done, sync + 1)
            .isInstanceOf(Counterexample.class);
      }
    }
  }

  @Test
  void aRollbackOfARollbackNeedsTheSyncThatItBeginsWith() {
    PatchPlan plan = plan(5);
    List<Step> steps = new ArrayList<>(plan.steps().subList(0, 3));
    int syncAndTail = 2;
    steps.addAll(PokeProtocol.rollback(plan, 3).subList(0, syncAndTail));
    PatchPlan both = new PatchPlan(INT3, plan.pokes(), ImmutableList.copyOf(steps));
    List<Step> again = PokeProtocol.rollback(both, steps.size());
    assertThat(again.get(0)).isInstanceOf(SyncCores.class);

    steps.addAll(again.subList(1, again.size()));

    assertThat(checkRollback(plan, steps).text())
        .contains("a thread at 0x1000 may run [10 81 82 83 84], which is neither old nor new")
        .contains("seen: 10 old (step 6), 81 82 83 84 new (step 3);");
  }

  private static Verdict checkRollback(PatchPlan plan, List<Step> steps) {
    return Verifier.check(
        plan, PlanKinds.bent(plan, steps).steps(), SiteSearch.Target.OLD, MemoryModel.CONSERVATIVE);
  }

  @Test
  void anArmedBreakpointThatIsNotSyncedMayLeaveOldCodeRunning() {
    PatchPlan plan = PatchPlan.of(INT3, List.of(PlanKinds.arming(0x1000, 5, PlanKinds.PASS_ON)));

    assertThat(Verifier.check(PlanKinds.without(plan, 1)).text())
        .contains("may run [10 11 12 13 14], which is old code, after the plan's end");
  }

  @Test
  void aSiteOfOneByteNeedsItsLastSyncOnly() {
    PatchPlan plan = plan(1);

    assertThat(Verifier.check(PlanKinds.without(plan, 1)).isSafe()).isTrue();
    assertCaught("without the last sync", PlanKinds.without(plan, 3));
  }

  @Test
  void saysWhatTheBytesReadAsWhereThereIsADecoder() {
    Counterexample counterexample =
        assertCaught("without sync 2", PlanKinds.without(plan(2), SECOND_SYNC));

    assertThat(counterexample.text(new TwoByteDecoder()))
        .endsWith(
            "; it runs '(bad: no instruction that is known)', old is 'call 0x1013', new is 'nop'");
  }

  private static Counterexample assertCaught(String how, PatchPlan bent) {
    Verdict verdict = Verifier.check(bent);
    assertThat(verdict).as(how).isInstanceOf(Counterexample.class);
    Counterexample counterexample = (Counterexample) verdict;
    assertThat(counterexample.text())
        .as(how)
        .containsPattern("step \\d+ of|all \\d+ steps")
        .contains(counterexample.what())
        .contains("may run [" + counterexample.bytes() + "]")
        .contains("at 0x" + Long.toHexString(counterexample.poke().address()));
    return counterexample;
  }

  /** Knows two instructions: 10 xx, a call with a displacement of one byte, and 80 81. */
  private static final class TwoByteDecoder implements InstructionDecoder {
    @Override
    public String name() {
      return "two bytes";
    }

    @Override
    public long decode(CodeRegion code, int offset) {
      return switch (code.bytes().at(offset) << 8 | code.bytes().at(offset + 1)) {
        case 0x1011 -> Decoded.pack(2, Flow.CALL, 1, 1, 0, 0, 0);
        case 0x8081 -> Decoded.pack(2, Flow.NOP, 0, 0, 0, 0, 0);
        default -> Decoded.undecodable(Undecodable.UNKNOWN);
      };
    }
  }
}
