package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.AttachOptions;
import io.github.textpoke.apply.TargetProcess;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Needs the right to trace the programs that it starts. With {@code -Dsoak=true} five runs of
 * 20,000 for each number of workers, where in-process hook libraries crash in every run.
 */
@Timeout(value = 3, unit = TimeUnit.HOURS)
class DetourTogglesTest {
  private static final boolean SOAK = Boolean.getBoolean("soak");
  private static final int RUNS = SOAK ? 5 : 1;
  private static final int TOGGLES = Integer.getInteger("toggles", SOAK ? 20_000 : 300);

  /** Eight workers and whatever else runs share two processors. */
  private static final AttachOptions PATIENT =
      AttachOptions.DEFAULT.withPatience(Duration.ofSeconds(60));

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 8})
  void workersSeeTheOneFunctionOrTheOther(int workers) {
    for (int run = 0; run < RUNS; run++) {
      try (PlainProgram program = new PlainProgram(workers);
          TargetProcess process = TargetProcess.attach(program.pid(), PATIENT)) {
        Detours detours = Detours.in(process);
        long replacement = program.address("repl_2");
        long traps = 0;
        for (int i = 0; i < TOGGLES; i++) {
          Detour detour = detours.at("plain:plain").to(replacement);
          traps += detour.patch().report().orElseThrow().traps();
          detour.revert();
        }
        program.assertResult(1);
        program.assertRight();
        assertThat(program.results(2)).as("calls of the replacement").isPositive();
        assertThat(traps).as("breakpoints that workers ran").isPositive();
      }
    }
  }
}
