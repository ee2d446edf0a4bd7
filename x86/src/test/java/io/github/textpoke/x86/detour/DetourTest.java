package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.Collections2;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.BadSiteException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Needs the right to trace the programs that it starts. */
class DetourTest {
  @Test
  void aFunctionIsReplacedWhileItRunsAndPutBack() {
    try (PlainProgram program = new PlainProgram(4);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      program.assertResult(1);
      Detour detour = Detours.in(process).at("plain:plain").to(program.address("repl_2"));
      program.assertResult(2);
      detour.revert();
      program.assertResult(1);
      program.assertRight();
      assertThat(process.patches()).isEmpty();
      assertThatExceptionOfType(WrongStateException.class).isThrownBy(detour::revert);
    }
  }

  @Test
  void aDetourThatAnotherHandleHasRevertedIsSaidToBeReverted() {
    try (PlainProgram program = new PlainProgram(1);
        TargetProcess process = TargetProcess.attach(program.pid());
        TargetProcess other = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      Detour below = detours.at("plain:plain").to(program.address("repl_2"));
      Detour above = detours.at("plain:plain").to(program.address("repl_2"));
      // This one is led past, and its memory and that of the other are kept for a while.
      other.patch(below.id()).revert();
      assertThatExceptionOfType(WrongStateException.class)
          .isThrownBy(below::revert)
          .withMessageContaining("somebody has reverted it");
      other.patch(above.id()).revert();
      assertThatExceptionOfType(WrongStateException.class)
          .isThrownBy(above::revert)
          .withMessageContaining("somebody has reverted it");
      program.assertResult(1);
      program.assertRight();
    }
  }

  @Test
  void theOriginalIsStillCallable() {
    try (PlainProgram program = new PlainProgram(2);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      Detour first = detours.at("plain:plain").to(program.address("repl_2"));
      program.setOriginal(first.original());
      Detour second = detours.at("plain:plain").to(program.address("around"));
      // The second one's original is the first.
      program.setOriginal(second.original());
      program.awaitResult(12);
      program.assertResult(12);
      program.setOriginal(first.original());
      program.awaitResult(11);
      program.assertResult(11);
      second.revert();
      program.assertResult(2);
      first.revert();
      program.assertResult(1);
      program.assertRight();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5})
  void detoursOfOneFunctionAreRevertedInAnyOrder(int order) {
    List<Integer> reverted =
        new ArrayList<>(Collections2.permutations(ImmutableList.of(0, 1, 2))).get(order);
    try (PlainProgram program = new PlainProgram(2);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      List<Detour> chain = new ArrayList<>();
      List<Integer> standing = new ArrayList<>();
      for (int more = 2; more <= 4; more++) {
        chain.add(detours.at("plain:plain").to(program.address("repl_" + more)));
        standing.add(more);
        program.assertResult(more);
      }
      for (int index : reverted) {
        chain.get(index).revert();
        standing.remove((Integer) (index + 2));
        program.assertResult(standing.isEmpty() ? 1 : standing.get(standing.size() - 1));
      }
      program.assertRight();
      assertThat(process.patches()).isEmpty();
      assertThat(TargetProcess.status(program.pid()).patches())
          .extracting(PatchStatus::state)
          .containsOnly(PatchStatus.State.RETIRED);
    }
  }

  @Test
  void anotherHandleSeesADetourAndRevertsIt() {
    try (PlainProgram program = new PlainProgram(2)) {
      long id;
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        Detours detours = Detours.in(process);
        id = detours.at("plain:plain").to(program.address("repl_2")).id();
        detours.at("plain:plain").to(program.address("repl_3"));
      }
      try (TargetProcess process = TargetProcess.attach(program.pid())) {
        assertThat(process.patches()).hasSize(2);
        process.patch(id).revert();
        program.assertResult(3);
        assertThat(process.patches()).hasSize(1);
        process.patches().forEach(Patch::revert);
        program.assertResult(1);
        program.assertRight();
      }
    }
  }

  @Test
  void codeOfOursIsNamedAndNeverWritableAndExecutable() {
    try (PlainProgram program = new PlainProgram(1);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detour detour = Detours.in(process).at("plain:plain").to(program.address("repl_2"));
      MemoryMap map = MemoryMap.read(program.pid());
      Mapping holder = map.at(detour.original()).orElseThrow();
      assertThat(holder.path()).startsWith("/memfd:textpoke");
      assertThat(holder.executable()).isTrue();
      assertThat(map.mappings())
          .filteredOn(mapping -> mapping.path().startsWith("/memfd:textpoke"))
          .noneMatch(mapping -> mapping.executable() && mapping.writable());
    }
  }

  @Test
  void theSameDetourTakesTheSameMemoryAgain() {
    try (PlainProgram program = new PlainProgram(2);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      Detour first = detours.at("plain:plain").to(program.address("repl_2"));
      first.revert();
      Detour second = detours.at("plain:plain").to(program.address("repl_2"));
      assertThat(second.original()).isEqualTo(first.original());
      Detour other = detours.at("plain:plain").to(program.address("repl_3"));
      assertThat(other.original()).isNotEqualTo(first.original());
      other.revert();
      second.revert();
      program.assertResult(1);
      program.assertRight();
    }
  }

  @Test
  void aProgramThatMayMapNothingMoreIsLeftAloneAndSaidSo() throws Exception {
    try (PlainProgram program = new PlainProgram(2);
        TargetProcess process =
            // The poker is a process of its own, with limits of its own.
            TargetProcess.attach(
                program.pid(), AttachOptions.DEFAULT.withEngine(EngineChoice.STEPWISE))) {
      Detours detours = Detours.in(process);
      limitMemory(program.pid(), "1");
      assertThatExceptionOfType(UnsupportedTargetException.class)
          .isThrownBy(() -> detours.at("plain:plain").to(program.address("repl_2")))
          .withMessageContaining("errno 12");
      program.assertResult(1);
      limitMemory(program.pid(), "unlimited");
      detours.at("plain:plain").to(program.address("repl_2")).revert();
      program.assertResult(1);
      program.assertRight();
    }
  }

  private static void limitMemory(int pid, String bytes) throws Exception {
    Process prlimit =
        new ProcessBuilder("prlimit", "--pid", Integer.toString(pid), "--as=" + bytes + ":")
            .inheritIO()
            .start();
    assertThat(prlimit.waitFor()).isZero();
  }

  @Test
  void aDetourStandsAtAnEntry() {
    try (PlainProgram program = new PlainProgram(1);
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      assertThatExceptionOfType(BadSiteException.class)
          .isThrownBy(() -> detours.at("plain:plain+1"));
    }
  }
}
