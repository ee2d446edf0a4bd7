package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
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
  void takesTheTrapsOfEveryBoundaryAndRedirectsThem() {
    PatchPlan plan = PatchPlan.of(0xcc, List.of(ONE_FOR_ONE, DISPLACING));
    CompiledPlan compiled = new CompiledPlan(plan, plan.steps());

    assertThat(compiled.takesTrapAt(0x401000)).isTrue();
    assertThat(compiled.takesTrapAt(0x401001)).isTrue();
    assertThat(compiled.takesTrapAt(0x401002)).isFalse();
    assertThat(compiled.redirects.get(0x401000)).isEqualTo(0x7000);
    assertThat(compiled.redirects.get(0x401001)).isEqualTo(0x7001);
    assertThat(compiled.interior.get(0x401000)).isZero();
    assertThat(compiled.interior.get(0x401001)).isEqualTo(0x7001);
  }

  @Test
  void evacuatesTheBoundariesThatItsStepsEvacuate() {
    PatchPlan plan = PatchPlan.of(0xcc, List.of(DISPLACING));
    CompiledPlan forth = new CompiledPlan(plan, plan.steps());
    CompiledPlan back = new CompiledPlan(plan.inverse(), plan.inverse().steps());

    assertThat(forth.displaces()).isTrue();
    assertThat(forth.evacuated.get(0x401001)).isEqualTo(0x7001);
    assertThat(back.displaces()).isTrue();
    assertThat(back.interior.get(0x401001)).isEqualTo(0x7001);
    assertThat(back.evacuated.isEmpty()).isTrue();
  }

  @Test
  void tellsEvacuationsFromSyncsAndWrites() {
    PatchPlan plan = PatchPlan.of(0xcc, List.of(DISPLACING));
    CompiledPlan compiled = new CompiledPlan(plan, plan.steps());
    StringBuilder kinds = new StringBuilder();
    for (int i = 0; i < plan.steps().size(); i++) {
      kinds.append(compiled.isSync(i) ? 's' : compiled.isEvacuation(i) ? 'e' : 'w');
    }
    assertThat(kinds.toString()).isEqualTo("wwsewsws");
  }

  @Test
  void oneInstructionForOneWaitsWhateverItsTrapAction() {
    PatchPlan plan = PatchPlan.of(0xcc, List.of(ONE_FOR_ONE));
    CompiledPlan compiled = new CompiledPlan(plan, plan.steps());

    assertThat(compiled.displaces()).isFalse();
    assertThat(compiled.takesTrapAt(0x400000)).isTrue();
    assertThat(compiled.redirects.isEmpty()).isTrue();
  }
}
