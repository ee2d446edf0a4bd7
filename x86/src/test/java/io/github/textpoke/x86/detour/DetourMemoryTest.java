package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import org.junit.jupiter.api.Test;

/** Needs the right to trace the programs that it starts. */
class DetourMemoryTest {
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
}
