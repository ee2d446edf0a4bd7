package io.github.textpoke.x86.plan;

import static io.github.textpoke.fixtures.PlanAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.Step.Write;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.verify.Verdict;
import io.github.textpoke.verify.Verifier;
import io.github.textpoke.x86.decode.TableDecoder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A jump of five bytes at the entry of each function of the C library: a plan or a refusal. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class LibcDisplacingTest {
  private static final long GIBIBYTE = 1L << 30;
  private static final int INT3 = X86Planner.INT3;

  private final X86Planner planner = X86Planner.with(new TableDecoder());
  private final Map<Integer, Integer> refusals = new TreeMap<>();
  private final List<DisplacingPlan> plans = new ArrayList<>();

  /** Tries all functions; the copies stand {@code distance} away, the targets as far below. */
  private void displaceAll(long distance) throws IOException {
    Path libc = SharedLibrary.libc();
    ElfImage image = ElfImage.read(libc);
    Entrances entrances = Entrances.of(image, Symbols.of(image), 0);
    for (CodeRegion code : SharedLibrary.functions(libc)) {
      long site = entry(code);
      try {
        plans.add(planner.displace(code, site, site - distance, site + distance, entrances));
      } catch (PlanRefusedException refused) {
        assertThat(refused.remedy()).as(refused.getMessage()).isNotEmpty();
        refusals.merge(refused.rule(), 1, Integer::sum);
      }
    }
  }

  private long entry(CodeRegion code) {
    Instruction first = planner.decoder().instruction(code, 0);
    boolean isPad = first.flow() == Flow.LANDING_PAD && first.end() != code.end();
    return isPad ? first.end() : code.address();
  }

  @Test
  void mostEntriesTakeAJumpAndTheOthersAreRefusedByARule() throws IOException {
    displaceAll(GIBIBYTE);

    int refused = refusals.values().stream().mapToInt(Integer::intValue).sum();
    long displacing = plans.stream().filter(LibcDisplacingTest::displaces).count();
    assertThat(plans.size())
        .as("%s displace, refusals %s", displacing, refusals)
        .isGreaterThan(9 * refused);
    assertThat(displacing).as("refusals %s", refusals).isGreaterThan(1_000);
    assertThat(refusals.keySet()).as("%s", refusals).isSubsetOf(1, 7, 8, 9, 15);
    plans.forEach(LibcDisplacingTest::check);
  }

  private static boolean displaces(DisplacingPlan displacing) {
    return displacing.plan().pokes().get(0).displaces();
  }

  /** What holds of each plan, without the verifier. */
  private static void check(DisplacingPlan displacing) {
    Poke poke = displacing.plan().pokes().get(0);
    Site site = poke.site();
    assertThat(site.length()).isGreaterThanOrEqualTo(5);
    assertThat(poke.newLength()).isEqualTo(5);
    assertThat(poke.replacement().slice(5, site.length()))
        .isEqualTo(CodeBytes.filled(site.length() - 5, INT3));
    assertThat(displacing.plan().inverse().inverse().equals(displacing.plan())).isTrue();
    if (poke.displaces()) {
      assertThat(poke.trapAction()).isEqualTo(new TrapAction.Redirect(displacing.copy().address()));
      assertThat(poke.firstOldLength()).isLessThan(5);
      assertThat(displacing.plan().steps()).filteredOn(Evacuate.class::isInstance).hasSize(1);
      assertThat(displacing.unentered())
          .hasValueSatisfying(
              proof -> {
                assertThat(proof.from()).isEqualTo(site.address());
                assertThat(proof.to()).isEqualTo(site.end());
              });
    }
  }

  @Test
  void plansAreSafeThereAndBackAndFromEveryStep() throws IOException {
    displaceAll(-GIBIBYTE);
    for (DisplacingPlan displacing : plans) {
      assertThat(displacing.plan()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
      assertThat(displacing.plan().inverse()).canBeRolledBackFromEveryStep();
    }
    assertThat(plans).hasSizeGreaterThan(1_000);
  }

  @Test
  void anySiteOfAnyFunctionTakesAJumpThatIsSafeOrIsRefusedByARule() throws IOException {
    Path libc = SharedLibrary.libc();
    ElfImage image = ElfImage.read(libc);
    Entrances entrances = Entrances.of(image, Symbols.of(image), 0);
    ImmutableList<CodeRegion> functions = SharedLibrary.functions(libc);
    SplittableRandom random = new SplittableRandom(20261127);
    int planned = 0;
    for (int i = 0; i < 5_000; i++) {
      CodeRegion code = functions.get(random.nextInt(functions.size()));
      long site = code.address() + random.nextInt(code.bytes().length());
      long target = site + random.nextInt(-1_000_000_000, 1_000_000_000);
      try {
        DisplacingPlan plan = planner.displace(code, site, target, site + GIBIBYTE, entrances);
        check(plan);
        assertThat(plan.plan()).isSafeInEveryInterleaving();
        planned++;
      } catch (PlanRefusedException refused) {
        assertThat(refused.rule()).isBetween(1, 23);
        assertThat(refused.remedy()).as(refused.getMessage()).isNotEmpty();
        refusals.merge(refused.rule(), 1, Integer::sum);
      }
    }
    assertThat(planned).as("refusals %s", refusals).isGreaterThan(500);
    assertThat(refusals).as("%s", refusals).containsKeys(1, 7, 8, 9);
  }

  @Test
  void withoutTheEvacuationOrABreakpointInsideAPlanIsUnsafe() throws IOException {
    displaceAll(GIBIBYTE);
    List<DisplacingPlan> displacing = plans.stream().filter(LibcDisplacingTest::displaces).toList();
    int bent = 0;
    for (DisplacingPlan whole : displacing) {
      PatchPlan plan = whole.plan();
      for (int step = 0; step < plan.steps().size(); step++) {
        if (keepsThreadsOut(plan, plan.steps().get(step))) {
          assertThat(Verifier.check(without(plan, step)))
              .as("without step %s of%n%s", step + 1, plan)
              .isInstanceOf(Verdict.Counterexample.class);
          bent++;
        }
      }
    }
    assertThat(bent).isGreaterThan(2_000);
  }

  private static boolean keepsThreadsOut(PatchPlan plan, Step step) {
    boolean isInside =
        step instanceof Write write
            && write.address() != plan.pokes().get(0).address()
            && write.bytes().equals(CodeBytes.of(INT3));
    return isInside || step instanceof Evacuate;
  }

  /** The plan without one step; what the others expect is made to fit. */
  private static PatchPlan without(PatchPlan plan, int left) {
    Site site = plan.pokes().get(0).site();
    CodeBytes memory = site.bytes();
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    for (int i = 0; i < plan.steps().size(); i++) {
      Step step = plan.steps().get(i);
      if (i == left) {
        continue;
      }
      if (step instanceof Write write) {
        int at = (int) (write.address() - site.address());
        CodeBytes expected = memory.slice(at, at + write.bytes().length());
        memory = memory.with(at, write.bytes());
        step = new Write(write.address(), expected, write.bytes(), write.why());
      }
      steps.add(step);
    }
    return new PatchPlan(plan.trapByte(), plan.pokes(), steps.build());
  }
}
