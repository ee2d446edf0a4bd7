package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.util.List;
import org.junit.jupiter.api.Test;

final class CompiledPlanTest {
  private static final TrapAction REDIRECT = new TrapAction.Redirect(0x7000);
  private static final Poke ONE_FOR_ONE =
      new Poke(new Site(0x400000, CodeBytes.of(0x90)), 1, CodeBytes.of(0xc3), 1, REDIRECT);
  private static final Poke DISPLACING =
      Poke.displacing(
          new Site(0x401000, CodeBytes.ofHex("55 48 89 e5 90")),
          5,
          List.of(Boundary.copiedTo(1, 0x7001)),
          CodeBytes.ofHex("e9 11 22 33 44"),
          5,
          REDIRECT);

  @Test
  void refusesAPlanThatEvacuatesSinceNoEngineCan() {
    assertRefused(PatchPlan.of(0xcc, List.of(ONE_FOR_ONE, DISPLACING)));
  }

  @Test
  void refusesTheWayBackWhoseOwnWayBackEvacuates() {
    assertRefused(PatchPlan.of(0xcc, List.of(ONE_FOR_ONE, DISPLACING.inverse())));
  }

  @Test
  void refusesStepsThatEvacuateWhateverThePokes() {
    PatchPlan plan = PatchPlan.of(0xcc, List.of(DISPLACING));

    assertRefused(new PatchPlan(0xcc, ImmutableList.of(ONE_FOR_ONE), plan.steps()));
  }

  @Test
  void takesOneInstructionForOne() {
    PatchPlan plan = PatchPlan.of(0xcc, List.of(ONE_FOR_ONE));

    assertThat(new CompiledPlan(plan, plan.steps()).takesTrapAt(0x400000)).isTrue();
  }

  private static void assertRefused(PatchPlan plan) {
    assertThatThrownBy(() -> new CompiledPlan(plan, plan.steps()))
        .isInstanceOfSatisfying(
            UnsupportedPlanException.class,
            refusal -> assertThat(refusal.outcome()).isEqualTo(Outcome.UNTOUCHED))
        .hasMessage(
            "several instructions at 0x401000 can't be displaced in a process yet: no engine can"
                + " evacuate threads; choose a site whose one instruction is long enough");
  }
}
