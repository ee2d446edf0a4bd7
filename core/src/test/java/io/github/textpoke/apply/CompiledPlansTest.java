package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.util.List;
import org.junit.jupiter.api.Test;

final class CompiledPlansTest {
  private final CompiledPlans plans = new CompiledPlans();

  private static PatchPlan plan(long site) {
    return PatchPlan.of(
        0xcc,
        List.of(
            new Poke(
                new Site(site, CodeBytes.of(0x90)),
                1,
                CodeBytes.of(0xc3),
                1,
                new TrapAction.Rewind())));
  }

  private CompiledPlan add(PatchPlan plan) {
    CompiledPlan compiled = new CompiledPlan(plan, plan.steps());
    plans.add(compiled);
    return compiled;
  }

  @Test
  void findsThePlanThatIsEqual() {
    CompiledPlan first = add(plan(0x400000));
    CompiledPlan second = add(plan(0x400010));

    assertThat(plans.find(plan(0x400000))).isSameAs(first);
    assertThat(plans.find(second.plan)).isSameAs(second);
    assertThat(plans.find(plan(0x400020))).isNull();
  }

  @Test
  void thePlanBackIsMadeOnce() {
    CompiledPlan compiled = add(plan(0x400000));

    PatchPlan back = plans.inverse(compiled.plan);

    assertThat(back).isEqualTo(compiled.plan.inverse());
    assertThat(plans.inverse(plan(0x400000))).isSameAs(back);
    assertThat(plans.inverse(plan(0x400010))).isEqualTo(plan(0x400010).inverse());
  }

  @Test
  void whatWasUsedLastStays() {
    CompiledPlan first = add(plan(0x400000));
    for (int i = 1; i < 100; i++) {
      add(plan(0x400000 + 16L * i));
      assertThat(plans.find(first.plan)).isSameAs(first);
    }
    assertThat(plans.find(plan(0x400010))).isNull();
    assertThat(plans.find(plan(0x400000 + 16 * 99))).isNotNull();
  }

  @Test
  void forgetsThoseThatItIsTold() {
    CompiledPlan first = add(plan(0x400000));
    CompiledPlan second = add(plan(0x400010));

    plans.forget(plan -> plan.pokes().get(0).address() == 0x400000);

    assertThat(plans.find(first.plan)).isNull();
    assertThat(plans.find(second.plan)).isSameAs(second);
  }
}
