package io.github.textpoke.x86.plan;

import static io.github.textpoke.fixtures.PlanAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.decode.TableDecoder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** All exits of each function of the C library that takes a jump at its entry. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class FunctionEndsTest {
  private static final long GIBIBYTE = 1L << 30;

  private final X86Planner planner = X86Planner.with(new TableDecoder());
  private final Map<String, Integer> refusals = new TreeMap<>();
  private final Map<CodeRegion, FunctionEnds> planned = new LinkedHashMap<>();
  private Entrances entrances;

  @BeforeAll
  void findAll() throws IOException {
    Path libc = SharedLibrary.libc();
    ElfImage image = ElfImage.read(libc);
    entrances = Entrances.of(image, Symbols.of(image), 0);
    LoadedBytes loaded = LoadedBytes.of(image);
    for (CodeRegion code : SharedLibrary.functions(libc)) {
      entry(code)
          .ifPresent(
              length -> {
                try {
                  planned.put(
                      code,
                      FunctionEnds.of(
                          planner,
                          code,
                          site(code),
                          length,
                          entrances,
                          (start, end) ->
                              CodeRegion.of(
                                  "part", start, loaded.code(new FunctionRange(start, end)))));
                } catch (PlanRefusedException refused) {
                  refusals.merge(reason(refused), 1, Integer::sum);
                }
              });
    }
  }

  private static String reason(PlanRefusedException refused) {
    return "rule %d: %s"
        .formatted(refused.rule(), refused.what().replaceAll(".*?: ", ""))
        .replaceAll("0x[0-9a-f]+", "...");
  }

  private long site(CodeRegion code) {
    Instruction first = planner.decoder().instruction(code, 0);
    boolean isPad = first.flow() == Flow.LANDING_PAD && first.end() != code.end();
    return isPad ? first.end() : code.address();
  }

  private Optional<Integer> entry(CodeRegion code) {
    long site = site(code);
    try {
      return Optional.of(
          planner
              .displace(code, site, site - GIBIBYTE, site + GIBIBYTE, entrances)
              .copy()
              .displacedLength());
    } catch (PlanRefusedException refused) {
      return Optional.empty();
    }
  }

  @Test
  void nineOfTenFunctionsThatTakeAProbeAtTheEntryTakeOneAtAllExits() {
    int refused = refusals.values().stream().mapToInt(Integer::intValue).sum();
    System.out.printf("%d functions of libc, %d refused: %s%n", planned.size(), refused, refusals);
    assertThat(planned.size()).as("%s", refusals).isGreaterThan(9 * refused);
    assertThat(planned).hasSizeGreaterThan(1_500);
  }

  @Test
  void everyReturnIsInOneRun() {
    planned.forEach(
        (code, ends) -> {
          List<Long> exits = new ArrayList<>(ends.entry().exits());
          ends.exits().forEach(run -> exits.addAll(run.exits()));
          assertThat(exits).doesNotHaveDuplicates();
          for (int at = 0; at < code.bytes().length(); ) {
            long decoded = planner.decoder().decode(code, at);
            if (Decoded.flow(decoded) == Flow.RETURN) {
              assertThat(exits).contains(code.address() + at);
            }
            at += Decoded.length(decoded);
          }
        });
  }

  @Test
  void runsDoNotOverlapAndPlansAreSafeThereAndBackAndFromEveryStep() {
    int padded = 0;
    for (FunctionEnds ends : planned.values()) {
      List<ExitRun> runs = new ArrayList<>(ends.exits());
      runs.add(ends.entry());
      List<PatchPlan> plans = new ArrayList<>();
      for (ExitRun run : runs) {
        assertThat(run.displacedLength()).isBetween(5, 15);
        long away = run.start() + GIBIBYTE;
        DisplacingPlan plan = planner.displace(run, away, away + 16, entrances);
        assertThat(plan.copy().displacedLength()).isEqualTo(run.length());
        assertThat(plan.plan()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
        assertThat(plan.plan().inverse()).canBeRolledBackFromEveryStep();
        plans.add(plan.plan());
        padded += run.length() < run.displacedLength() ? 1 : 0;
      }
      // By rule 6 no two share a byte.
      assertThat(planner.batch(plans).pokes()).hasSameSizeAs(runs);
    }
    assertThat(padded).isGreaterThan(50);
  }
}
