package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.common.collect.Collections2;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.AttachOptions.EngineChoice;
import io.github.textpoke.apply.TargetProcess;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Detours of a function that another one enters behind its first instruction, as {@code mempcpy}
 * does with {@code memmove}: workers call both all the time, and look at each result. Needs the
 * right to trace the programs that it starts.
 */
@Timeout(300)
class CompanionsTest {
  private static final Duration LONG = Duration.ofSeconds(60);
  private static final int TOGGLES = 500;
  private static final int MOST_STANDING = 5;

  @Test
  void bothEntriesAreDisplacedByOnePlanAndPutBack() {
    try (PlainProgram program = new PlainProgram(4, "entered");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      program.assertResult(1);
      Detour detour = Detours.in(process).at("plain:entered").to(program.address("repl_2"));
      assertThat(detour.patch().plan().pokes())
          .extracting(poke -> poke.address())
          .containsExactly(process.address("plain:enterer"), process.address("plain:entered"));
      program.assertResult(2);
      detour.revert();
      program.assertResult(1);
      program.assertRight();
      assertThat(process.patches()).isEmpty();
    }
  }

  /** The first and third are detours of the function that is entered, the second of the other. */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5})
  void detoursOfBothAreRevertedInAnyOrder(int order) {
    List<Integer> reverted =
        new ArrayList<>(Collections2.permutations(ImmutableList.of(0, 1, 2))).get(order);
    try (PlainProgram program = new PlainProgram(4, "entered");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      ImmutableList<Detour> made =
          ImmutableList.of(
              detours.at("plain:entered").to(program.address("repl_2")),
              detours.at("plain:enterer").toItself(),
              detours.at("plain:entered").to(program.address("repl_3")));
      program.assertResult(3);
      List<Integer> standing = new ArrayList<>(List.of(0, 1, 2));
      for (Integer index : reverted) {
        made.get(index).revert();
        standing.remove(index);
        program.assertResult(standing.contains(2) ? 3 : standing.contains(0) ? 2 : 1);
      }
      program.assertRight();
      assertThat(process.patches()).isEmpty();
      detours.at("plain:enterer").toItself().revert();
      program.assertResult(1);
      program.assertRight();
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = EngineChoice.class,
      names = {"POKER", "STEPWISE"})
  void togglingBothInAnyOrderUnderLoadHarmsNoCall(EngineChoice engine) {
    SplittableRandom random = new SplittableRandom(20261128);
    try (PlainProgram program = new PlainProgram(3, "entered");
        TargetProcess process =
            TargetProcess.attach(program.pid(), AttachOptions.DEFAULT.withEngine(engine))) {
      Detours detours = Detours.in(process);
      List<Detour> standing = new ArrayList<>();
      for (int i = 0; i < TOGGLES; i++) {
        boolean reverts =
            standing.size() == MOST_STANDING || !standing.isEmpty() && random.nextBoolean();
        if (reverts) {
          standing.remove(random.nextInt(standing.size())).revert();
        } else if (standing.isEmpty() || random.nextBoolean()) {
          standing.add(
              detours.at("plain:entered").to(program.address("repl_" + random.nextInt(2, 5))));
        } else {
          standing.add(detours.at("plain:enterer").toItself());
        }
        if (i % 100 == 0) {
          program.awaitCalls();
          program.assertRight();
        }
      }
      while (!standing.isEmpty()) {
        standing.remove(random.nextInt(standing.size())).revert();
      }
      program.assertResult(1);
      program.assertRight();
      assertThat(process.patches()).isEmpty();
    }
  }

  @Test
  void aCompanionThatIsDetouredAlreadyIsToBeRevertedFirst() {
    try (PlainProgram program = new PlainProgram(2, "entered");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      Detour first = detours.at("plain:enterer").toItself();
      DetourSite entered = detours.at("plain:entered");
      assertThatExceptionOfType(PlanRefusedException.class)
          .isThrownBy(entered::toItself)
          .satisfies(refused -> assertThat(refused.rule()).isEqualTo(7))
          .withMessageContaining("can't be displaced together")
          .withMessageContaining("our earlier patch");
      first.revert();
      // No thread is in its copy any more, which leads behind the first instruction.
      entered.toItself().revert();
      program.assertResult(1);
      program.assertRight();
    }
  }

  @Test
  void whileAThreadMayBeInACopyOfBeforeThatLeadsInsideItIsRefused() {
    try (PlainProgram program = new PlainProgram(2, "entered");
        TargetProcess process = TargetProcess.attach(program.pid())) {
      Detours detours = Detours.in(process);
      Detour before = detours.at("plain:enterer").toItself();
      program.fixture.command("hold " + Long.toHexString(before.original()));
      program.fixture.awaitCounter("held", 1, LONG);
      before.revert();
      DetourSite entered = detours.at("plain:entered");
      assertThatExceptionOfType(PlanRefusedException.class)
          .isThrownBy(entered::toItself)
          .satisfies(refused -> assertThat(refused.rule()).isEqualTo(10))
          .withMessageContaining("patch 1 ");
      program.fixture.command("release");
      program.fixture.awaitCounter("let_go", 1, LONG);
      entered.toItself().revert();
      program.assertResult(1);
      program.assertRight();
    }
  }
}
