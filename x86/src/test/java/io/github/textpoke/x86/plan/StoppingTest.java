package io.github.textpoke.x86.plan;

import static io.github.textpoke.fixtures.PlanAssertions.assertThat;
import static io.github.textpoke.fixtures.PlanAssertions.assertThatPlan;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.TableDecoder;
import org.junit.jupiter.api.Test;

/** A breakpoint that stays, where no jump can stand. */
final class StoppingTest {
  private static final long FUNCTION = 0x40_1000;
  private static final long COPY = 0x5040_0000;
  private static final long TARGET = 0x5000_0000;

  private final X86Planner planner = X86Planner.with(new TableDecoder());

  private static CodeRegion code(String hex) {
    return CodeRegion.of("f", FUNCTION, CodeBytes.ofHex(hex));
  }

  @Test
  void writesOneByteAndLeadsThreadsOn() {
    // mov rax, rdi; ret
    DisplacingPlan stopping = planner.stop(code("4889f8 c3"), FUNCTION, TARGET, COPY);

    assertThat(stopping.plan())
        .hasSteps("0x401000: 48 -> cc", "sync")
        .isSafeInEveryInterleaving()
        .canBeRolledBackFromEveryStep();
    Poke poke = stopping.plan().pokes().get(0);
    assertThat(poke.stays(X86Planner.INT3)).isTrue();
    assertThat(poke.inverse().stays(X86Planner.INT3)).isFalse();
    assertThat(poke.trapAction()).isEqualTo(new TrapAction.Redirect(TARGET));
    // The one instruction, and the way back behind it.
    assertThat(stopping.copy().displaced().length()).isEqualTo(3);
    assertThat(stopping.copy().bytes().slice(0, 3)).isEqualTo(CodeBytes.ofHex("4889f8"));
    assertThat(stopping.copy().boundaries()).hasSize(1).containsEntry(FUNCTION, COPY);
  }

  @Test
  void whoEntersBehindTheFirstByteDoesNotMind() {
    // xor eax, eax; add rax, rdi; dec rdi; jnz -8; ret
    CodeRegion looped = code("31c0 4801f8 48ffcf 75f8 c3");

    assertThat(planner.stop(looped, FUNCTION, TARGET, COPY).plan()).isSafeInEveryInterleaving();
    assertThat(planner.stop(looped, FUNCTION + 2, TARGET, COPY).plan()).isSafeInEveryInterleaving();
    assertThat(planner.stop(looped, FUNCTION + 8, TARGET, COPY).copy().bytes().length())
        .as("the branch, and the way back")
        .isGreaterThan(5);
  }

  @Test
  void whatIsNoInstructionOrCantRunElsewhereIsRefused() {
    // endbr64; mov rax, rdi; syscall; int3; ret
    CodeRegion function = code("f30f1efa 4889f8 0f05 cc c3");

    assertThatPlan(() -> planner.stop(function, FUNCTION, TARGET, COPY).plan()).refusedBecause(14);
    assertThatPlan(() -> planner.stop(function, FUNCTION + 5, TARGET, COPY).plan())
        .refusedBecause(1);
    assertThatPlan(() -> planner.stop(function, FUNCTION + 7, TARGET, COPY).plan())
        .refusedBecause(15);
    assertThatPlan(() -> planner.stop(function, FUNCTION + 9, TARGET, COPY).plan())
        .refusedBecause(19);
    assertThatPlan(() -> planner.stop(function, FUNCTION + 4, FUNCTION + 5, COPY).plan())
        .refusedBecause(19);
  }
}
