package io.github.textpoke.verify;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeIndex;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Recovery;
import io.github.textpoke.plan.Recovery.Goal;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.SyncCores;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.verify.PlanKinds.Kind;
import io.github.textpoke.verify.SiteSearch.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Plans that are cut off anywhere and go on from the bytes that are found, both ways. */
class RecoveryInterleavingsTest {
  private static final long PAGE_END = 0x2000;

  private final SplittableRandom random = new SplittableRandom(11);

  /** What was done, and what stands at each site now. */
  private record CutOff(ImmutableList<Step> done, ImmutableList<CodeBytes> sites) {
    static CutOff before(PatchPlan plan) {
      return new CutOff(
          ImmutableList.of(),
          plan.pokes().stream()
              .map(poke -> poke.site().bytes())
              .collect(ImmutableList.toImmutableList()));
    }

    CutOff and(PatchPlan plan, Step step) {
      List<CodeBytes> now = new ArrayList<>(sites);
      if (step instanceof Write write) {
        int i = new PokeIndex(plan.pokes()).holding(write.address(), write.bytes().length());
        int at = (int) (write.address() - plan.pokes().get(i).address());
        assertThat(now.get(i).slice(at, at + write.expected().length()))
            .isEqualTo(write.expected());
        now.set(i, now.get(i).with(at, write.bytes()));
      }
      return new CutOff(
          ImmutableList.<Step>builder().addAll(done).add(step).build(), ImmutableList.copyOf(now));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
  void aPlanCutOffAnywhereIsFinishedAndTakenBack(int length) {
    for (int before = 0; before <= length; before++) {
      for (Kind kind : PlanKinds.all(PAGE_END - before, length)) {
        CutOff start = CutOff.before(kind.plan());
        cuts(kind.plan(), start, kind.plan().steps()).forEach(cut -> bothWays(kind.plan(), cut, 0));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5})
  void aRecoveryCutOffAnywhereIsFinishedAndTakenBack(int length) {
    for (Kind kind : PlanKinds.all(PAGE_END - 2, length)) {
      CutOff start = CutOff.before(kind.plan());
      cuts(kind.plan(), start, kind.plan().steps()).forEach(cut -> bothWays(kind.plan(), cut, 1));
    }
  }

  @Test
  void aRecoveryOfARecoveryCutOffAnywhereIsFinishedAndTakenBack() {
    for (Kind kind : PlanKinds.all(PAGE_END - 2, 3)) {
      if (kind.plan().pokes().size() == 1) {
        CutOff start = CutOff.before(kind.plan());
        cuts(kind.plan(), start, kind.plan().steps()).forEach(cut -> bothWays(kind.plan(), cut, 2));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5, 15})
  void aRollbackCutOffAnywhereIsFinishedAndTakenBack(int length) {
    for (Kind kind : PlanKinds.all(PAGE_END - 2, length)) {
      PatchPlan plan = kind.plan();
      for (int done = 1; done <= plan.steps().size(); done++) {
        CutOff start = CutOff.before(plan);
        for (Step step : plan.steps().subList(0, done)) {
          start = start.and(plan, step);
        }
        cuts(plan, start, PokeProtocol.rollback(plan, done)).forEach(cut -> bothWays(plan, cut, 0));
      }
    }
  }

  /**
   * @param again how often the recovery itself is cut off
   */
  private void bothWays(PatchPlan plan, CutOff cut, int again) {
    for (Goal goal : Goal.values()) {
      Recovery recovery = PokeProtocol.recovery(plan, cut.sites, goal);

      assertThat(recovery.foreign()).isEmpty();
      assertThat(after(plan, cut, recovery.steps()).sites).isEqualTo(bytesOf(plan, goal));
      for (MemoryModel model : MemoryModel.values()) {
        Verdict verdict = check(plan, cut, recovery.steps(), goal, model);
        assertThat(verdict)
            .as("%s after %s: %s", goal, cut.done, verdict.text())
            .isInstanceOf(Verdict.Safe.class);
      }
      if (again > 0) {
        cuts(plan, cut, recovery.steps()).forEach(next -> bothWays(plan, next, again - 1));
      }
    }
  }

  @Test
  void theVerifierMissesEachSyncOfARecovery() {
    Set<String> missed = new TreeSet<>();
    forEveryRecovery(
        (cut, goal) -> {
          PatchPlan plan = cut.plan;
          ImmutableList<Step> steps = PokeProtocol.recovery(plan, cut.cut.sites, goal).steps();
          for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i) instanceof SyncCores sync) {
              List<Step> without = new ArrayList<>(steps);
              without.remove(i);
              if (!check(plan, cut.cut, without, goal, MemoryModel.CONSERVATIVE).isSafe()) {
                missed.add(sync.why());
              }
            }
          }
        });

    assertThat(missed)
        .containsExactly(
            "no core can miss a breakpoint",
            "no core can run a stale breakpoint",
            "no core can run a stale tail",
            "no core can run the one instruction any more");
  }

  @Test
  void aForeignSiteIsReportedAndNeverWrittenWhileTheOthersReachTheGoal() {
    int[] foreign = new int[1];
    forEveryRecovery(
        (cut, goal) -> {
          PatchPlan plan = cut.plan;
          int strange = random.nextInt(plan.pokes().size());
          CodeBytes bytes = cut.cut.sites.get(strange);
          int at = random.nextInt(bytes.length());
          List<CodeBytes> found = new ArrayList<>(cut.cut.sites);
          found.set(strange, bytes.with(at, CodeBytes.of(0x66)));

          Recovery recovery = PokeProtocol.recovery(plan, found, goal);

          assertThat(recovery.sites().get(strange).state()).isEqualTo(FoundSite.State.FOREIGN);
          assertThat(recovery.foreign()).hasSize(1);
          List<CodeBytes> goals = new ArrayList<>(bytesOf(plan, goal));
          goals.set(strange, found.get(strange));
          CutOff start = new CutOff(cut.cut.done, ImmutableList.copyOf(found));
          assertThat(after(plan, start, recovery.steps()).sites).isEqualTo(goals);
          foreign[0]++;
        });
    assertThat(foreign[0]).isGreaterThan(100);
  }

  private record PlanAndCut(PatchPlan plan, CutOff cut) {}

  private void forEveryRecovery(BiConsumer<PlanAndCut, Goal> consumer) {
    for (Kind kind : PlanKinds.all(PAGE_END - 2, 5)) {
      for (CutOff cut : cuts(kind.plan(), CutOff.before(kind.plan()), kind.plan().steps())) {
        for (Goal goal : Goal.values()) {
          consumer.accept(new PlanAndCut(kind.plan(), cut), goal);
        }
      }
    }
  }

  /** Every prefix of {@code steps}, and every write with a part of its bytes landed. */
  private List<CutOff> cuts(PatchPlan plan, CutOff start, List<Step> steps) {
    List<CutOff> cuts = new ArrayList<>();
    CutOff now = start;
    cuts.add(now);
    for (Step step : steps) {
      if (step instanceof Write write) {
        int length = write.bytes().length();
        for (int landed = 1; landed < length; landed++) {
          cuts.add(now.and(plan, part(write, (1L << landed) - 1)));
        }
        if (length > 2) {
          cuts.add(now.and(plan, part(write, random.nextLong())));
        }
      }
      now = now.and(plan, step);
      cuts.add(now);
    }
    return cuts;
  }

  /** The write as it was cut off: the bytes whose bits are set have landed. */
  private static Write part(Write write, long landed) {
    CodeBytes bytes = write.expected();
    for (int i = 0; i < bytes.length(); i++) {
      if ((landed >>> i & 1) != 0) {
        bytes = bytes.with(i, write.bytes().slice(i, i + 1));
      }
    }
    return new Write(write.address(), write.expected(), bytes, write.why());
  }

  private static CutOff after(PatchPlan plan, CutOff cut, List<Step> steps) {
    CutOff now = cut;
    for (Step step : steps) {
      now = now.and(plan, step);
    }
    return now;
  }

  private static Verdict check(
      PatchPlan plan, CutOff cut, List<Step> steps, Goal goal, MemoryModel model) {
    return Verifier.check(
        plan,
        ImmutableList.<Step>builder().addAll(cut.done).addAll(steps).build(),
        goal == Goal.NEW ? Target.NEW : Target.OLD,
        model);
  }

  private static ImmutableList<CodeBytes> bytesOf(PatchPlan plan, Goal goal) {
    return plan.pokes().stream()
        .map(goal == Goal.NEW ? Poke::replacement : poke -> poke.site().bytes())
        .collect(ImmutableList.toImmutableList());
  }
}
