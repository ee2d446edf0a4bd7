package io.github.textpoke.x86.plan;

import static io.github.textpoke.fixtures.PlanAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.encode.Assembly;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** What holds of every plan, on code that nobody wrote for the test: the C library's. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
class PlannerPropertiesTest {
  /** Longer functions are swept over and over, once for each site, and add nothing. */
  private static final int LONGEST = 2_000;

  private final X86Planner planner = X86Planner.with(new TableDecoder());

  @Test
  void everyInstructionOfLibcIsPlannedToANopOrRefusedByARule() throws IOException {
    Map<Integer, Integer> refusals = new TreeMap<>();
    int planned = 0;
    for (CodeRegion code : libc(Integer.MAX_VALUE)) {
      for (CodeLine line : planner.disassemble(code)) {
        try {
          PatchPlan plan = planner.replace(code, line.address(), Assembly.nop());
          checkReplacement(plan.pokes().get(0), line.bytes().length());
          planned++;
          if (planned % 20 == 0) {
            assertThat(plan).isSafeInEveryInterleaving();
          }
        } catch (PlanRefusedException refused) {
          refusals.merge(refused.rule(), 1, Integer::sum);
        }
      }
    }
    assertThat(planned).isGreaterThan(50_000);
    assertThat(refusals.keySet()).as("refusals by rule: %s", refusals).isSubsetOf(1, 2, 9, 14, 15);
    assertThat(refusals.getOrDefault(15, 0)).as("system calls").isPositive();
  }

  @Test
  void whateverIsPlannedIsOneInstructionAndPaddingAndCanBeUndone() throws IOException {
    SplittableRandom random = new SplittableRandom(20261121);
    ImmutableList<CodeRegion> functions = libc(Integer.MAX_VALUE);
    int planned = 0;
    for (int i = 0; i < 20_000; i++) {
      CodeRegion code = functions.get(random.nextInt(functions.size()));
      long site = code.address() + random.nextInt(code.bytes().length());
      try {
        PatchPlan plan = plan(random, code, site);
        planned++;
        assertThat(plan.inverse().inverse().equals(plan)).isTrue();
        if (planned % 10 == 0) {
          assertThat(plan).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
          assertThat(plan.inverse()).isSafeInEveryInterleaving();
        }
      } catch (PlanRefusedException refused) {
        assertThat(refused.rule()).isBetween(1, 23);
        assertThat(refused.remedy()).as(refused.getMessage()).isNotEmpty();
      }
    }

    assertThat(planned).isGreaterThan(1_000);
  }

  @Test
  void sitesOfOneFunctionFormABatchThatIsSafe() throws IOException {
    for (CodeRegion code : libc(100)) {
      List<PatchPlan> plans = new ArrayList<>();
      for (CodeLine line : planner.disassemble(code)) {
        try {
          plans.add(planner.replace(code, line.address(), Assembly.nop()));
        } catch (PlanRefusedException refused) {
          assertThat(refused.rule()).isBetween(1, 23);
        }
      }
      if (!plans.isEmpty()) {
        List<PatchPlan> few = plans.subList(0, Math.min(plans.size(), 20));
        assertThat(planner.batch(few)).isSafeInEveryInterleaving();
      }
    }
  }

  @Test
  void aWitnessChangesNoPlanAndNoRefusal() throws IOException {
    X86Planner witnessed = X86Planner.create();
    for (CodeRegion code : libc(200)) {
      for (CodeLine line : planner.disassemble(code)) {
        assertThat(outcome(witnessed, code, line.address()))
            .isEqualTo(outcome(planner, code, line.address()));
      }
    }
  }

  private static Object outcome(X86Planner planner, CodeRegion code, long site) {
    try {
      return planner.replace(code, site, Assembly.nop());
    } catch (PlanRefusedException refused) {
      return refused.rule() + ": " + refused.reason();
    }
  }

  private PatchPlan plan(SplittableRandom random, CodeRegion code, long site) {
    long target = site + random.nextInt(-1_000_000_000, 1_000_000_000);
    Assembly replacement =
        switch (random.nextInt(5)) {
          case 0 -> Assembly.nop();
          case 1 -> Assembly.ret();
          case 2 -> Assembly.jmp(target);
          case 3 -> Assembly.call(target);
          default -> Assembly.jmp(site + random.nextInt(-120, 120));
        };
    if (random.nextInt(6) == 0) {
      return planner.arm(code, site, new TrapAction.Redirect(target));
    }
    PatchPlan plan = planner.replace(code, site, replacement);
    checkReplacement(plan.pokes().get(0), plan.pokes().get(0).length());
    return plan;
  }

  private static void checkReplacement(Poke poke, int length) {
    CodeBytes bytes = poke.replacement();
    CodeRegion fresh = CodeRegion.of("replacement", poke.address(), bytes);
    long decoded = new TableDecoder().decode(fresh, 0);
    boolean isWhole = Decoded.length(decoded) == bytes.length();
    assertThat(bytes.length()).isEqualTo(length);
    assertThat(Decoded.length(decoded)).isEqualTo(poke.newLength());
    assertThat(isWhole || Decoded.flow(decoded).endsFlow()).as(bytes.hex()).isTrue();
    assertThat(bytes.slice(poke.newLength(), bytes.length()))
        .isEqualTo(CodeBytes.filled(bytes.length() - poke.newLength(), 0xcc));
    assertThat(Decoded.flow(decoded)).isNotEqualTo(Flow.BREAKPOINT);
  }

  private static ImmutableList<CodeRegion> libc(int count) throws IOException {
    return SharedLibrary.functions(SharedLibrary.libc()).stream()
        .filter(code -> code.bytes().length() <= LONGEST)
        .limit(count)
        .collect(ImmutableList.toImmutableList());
  }
}
