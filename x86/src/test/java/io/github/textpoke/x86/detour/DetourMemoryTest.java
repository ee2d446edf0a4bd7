package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Needs the right to trace the programs that it starts. */
class DetourMemoryTest {
  /** Values of eight bytes: more than half of an arena. */
  private static final int MANY = 4096;

  @Test
  void memoryOfRevertedDetoursIsGivenBackAtALaterAttach() {
    try (PlainProgram program = new PlainProgram(2)) {
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        Detours.in(process).at("plain:plain").to(program.address("repl_2")).revert();
        assertThat(TargetProcess.status(program.pid()).patches())
            .extracting(PatchStatus::state)
            .containsExactly(PatchStatus.State.RETIRED);
      }
      program.awaitCalls();
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        Detour other = Detours.in(process).at("plain:plain").to(program.address("repl_3"));
        assertThat(TargetProcess.status(program.pid()).patches())
            .extracting(PatchStatus::state)
            .containsExactly(PatchStatus.State.APPLIED);
        other.revert();
      }
      program.assertRight();
    }
  }

  @Test
  void whoAsksForItLooksOnceBeforeMemoryIsGivenAway() {
    try (PlainProgram program = new PlainProgram(2);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detour first = Detours.in(process).at("plain:plain").to(program.address("repl_2"));
      first.revert();
      program.awaitCalls();
      List<Boolean> kept = new ArrayList<>();
      process.beforeFree(first.patch(), () -> kept.add(process.keepsMemory(first.patch())));
      assertThat(process.keepsMemory(first.patch())).isTrue();

      // There is no room for the second unless something is given back.
      ReturnOverride large = ReturnOverride.returningInOrder(1, new long[MANY - 1]);
      Detour below = Detours.in(process).at("plain:plain").returning(large);
      Detours.in(process).at("plain:plain").returning(large).revert();
      below.revert();

      assertThat(kept).containsExactly(true);
      assertThat(process.keepsMemory(first.patch())).isFalse();
    }
  }
}
