package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.apply.ZooAssembly.Beast;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.plan.DisplacingPlan;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Functions of all kinds, each called without a pause with random registers and flags while its
 * first instructions are displaced and put back. The jump leads to their copy, so each call must do
 * what the same call did before; or a rule forbids the plan.
 */
@RequiresPtrace
final class ZooTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  /** Each applies and reverts. */
  private static final long TOGGLES = 3;

  private static final ImmutableList<Beast> BEASTS = ZooAssembly.beasts();

  @TempDir Path directory;

  /** Each with the rule. */
  private final Set<String> refused = new TreeSet<>();

  /** Those whose first instruction has no room for the jump. */
  private final Set<String> displaced = new TreeSet<>();

  private final Set<String> replaced = new TreeSet<>();

  /** Those that displace a call. */
  private final Set<String> calls = new TreeSet<>();

  /** An object in a program that calls its functions. */
  private record Cage(Fixture fixture, TargetProcess process, DisplacingTarget target)
      implements AutoCloseable {
    static Cage of(Path object, String symbol) {
      Fixture fixture = Fixture.start("zoo", "--object", object.toString());
      try {
        TargetProcess process = TargetProcess.attach(fixture.pid());
        return new Cage(
            fixture,
            process,
            DisplacingTarget.of(process, object, symbol, fixture.address("room")));
      } catch (RuntimeException e) {
        fixture.close();
        throw e;
      }
    }

    /** Calls a function while {@code plan} is applied and reverted. */
    void call(String name, String how, DisplacingPlan plan) {
      long referenced = fixture.counter("referenced");
      fixture.command("start %x %x %s".formatted(target.address(name), name.hashCode(), how));
      fixture.awaitCounter("referenced", referenced + 1, SOON);
      process.toggle(
          plan.plan(),
          TOGGLES,
          Duration.ZERO,
          (nanos, window, traps, parked) -> {
            // One that began after this poke.
            fixture.awaitCounter("batches", fixture.counter("batches") + 2, SOON);
            return true;
          });
      long stopped = fixture.counter("stopped");
      fixture.command("stop");
      fixture.awaitCounter("stopped", stopped + 1, SOON);
    }

    @Override
    public void close() {
      process.close();
      fixture.close();
    }
  }

  @Test
  void assemblyDoesTheSameInItsCopyOrIsRefusedByTheRuleThatIsMeant() throws Exception {
    List<String> unexpected = new ArrayList<>();
    try (Cage cage = Cage.of(assemble(), "size_1")) {
      for (Beast beast : BEASTS) {
        int rule = run(cage, beast.name(), site(cage, beast), beast.name(), "exact");
        if (rule != beast.rule()) {
          unexpected.add("%s: rule %s".formatted(beast.name(), rule));
        }
      }
    }
    assertThat(unexpected).isEmpty();
    assertThat(displaced).hasSizeGreaterThan(150);
  }

  /** Shows that the test above can fail: each is a copy that one bit or two make wrong. */
  @ParameterizedTest(name = "{3}")
  @CsvSource({
    "short_74_forward, 1, 0x01, the opposite condition",
    "short_e3_backward, 0, 0x01, loop that is jrcxz",
    "red_zone, 1, 0x08, dec that is inc",
    "flags, 0, 0x0c, stc that is cmc",
    "size_5, 3, 0x02, another result",
    "rip_1_mov_2, 4, 0x08, an operand beside",
  })
  void aWrongCopyIsNoticed(String name, int at, int flip, String what) throws Exception {
    try (Cage cage = Cage.of(assemble(), "size_1")) {
      Beast beast =
          BEASTS.stream().filter(each -> each.name().equals(name)).findFirst().orElseThrow();
      DisplacingPlan plan = cage.target().toCopy(name, site(cage, beast));
      CodeBytes flipped = CodeBytes.of(plan.copy().bytes().at(at) ^ flip);
      cage.target().write(plan.copy().address() + at, flipped);

      cage.call(name, "exact", plan);

      assertThat(cage.fixture().counter("wrong")).as("%s in %s", what, plan.copy()).isPositive();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-O0",
        "-O1",
        "-O2",
        "-O3",
        "-O0 -fcf-protection=full",
        "-O2 -fcf-protection=full",
        "-O1 -pg",
        "-O2 -pg -mfentry",
        "-O2 -fstack-protector-all",
        "-O2 -fno-plt -fno-omit-frame-pointer -mindirect-branch=thunk -fcf-protection=none",
      })
  void compiledCDoesTheSameInItsCopyOrIsRefused(String flags) throws Exception {
    runAll(compile("gcc", "zoo.c", flags), "zoo_sum");

    int planned = displaced.size() + replaced.size();
    assertThat(planned).as("refused %s", refused).isGreaterThan(4 * refused.size());
    // With -mfentry the first instruction is a call of five bytes.
    assertThat(flags.contains("-mfentry") ? replaced : displaced).hasSizeGreaterThan(30);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-O0",
        "-O1",
        "-O2",
        "-O3",
        "-O2 -fcf-protection=full",
        "-O1 -pg",
        "-O2 -fstack-protector-all",
      })
  void exceptionsPassThroughTheCopy(String flags) throws Exception {
    Path object = compile("g++", "zoo.cc", flags);
    runAll(object, "zoo_catch");

    assertThat(displaced)
        .as("of %s are refused %s", flags, refused)
        .contains("zoo_throws_through", "zoo_throws_with_cleanup", "zoo_catch", "zoo_catch_each");
    if (flags.matches("-O[123]")) {
      // Its frame is of one instruction: an exception passes the return address of a displaced
      // call.
      assertThat(calls).contains("zoo_throws_through");
    }
  }

  /**
   * Displaces all functions of a compiled object. Those that throw are called by one that catches.
   */
  private void runAll(Path object, String symbol) {
    List<String> names =
        Symbols.of(ElfImage.read(object)).matching("zoo_*").stream()
            .map(Symbol::name)
            .filter(name -> !name.contains("."))
            .toList();
    assertThat(names).hasSizeGreaterThan(10);
    try (Cage cage = Cage.of(object, symbol)) {
      for (String name : names) {
        boolean isCaught = name.startsWith("zoo_throws");
        run(cage, name, cage.target().entry(name), isCaught ? "zoo_catch_each" : name, "abi");
      }
    }
  }

  /**
   * Displaces one function while another, or itself, is called; the rule that forbids the plan, or
   * 0.
   */
  private int run(Cage cage, String name, long site, String called, String how) {
    DisplacingPlan plan;
    try {
      plan = cage.target().toCopy(name, site);
    } catch (PlanRefusedException refusal) {
      assertThat(refusal.remedy()).as("%s: %s", name, refusal.getMessage()).isNotEmpty();
      refused.add(name + " by rule " + refusal.rule());
      return refusal.rule();
    }
    cage.call(called, how, plan);
    assertThat(cage.fixture().counter("wrong")).as("%s by %s", name, plan.copy()).isZero();
    (plan.plan().pokes().get(0).displaces() ? displaced : replaced).add(name);
    if (plan.copy().pushesReturnAddress()) {
      calls.add(name);
    }
    return ZooAssembly.MOVES;
  }

  private static long site(Cage cage, Beast beast) {
    return beast.hasSite()
        ? cage.target().address(beast.name() + ".at")
        : cage.target().entry(beast.name());
  }

  private Path assemble() throws Exception {
    Files.writeString(directory.resolve("zoo.s"), ZooAssembly.source(BEASTS));
    return link("gcc", "zoo.s", "");
  }

  private Path compile(String compiler, String source, String flags) throws Exception {
    try (InputStream resource = ZooTest.class.getResourceAsStream(source)) {
      Files.copy(resource, directory.resolve(source));
    } catch (IOException e) {
      throw new UncheckedIOException(source, e);
    }
    return link(compiler, source, flags);
  }

  private Path link(String compiler, String source, String flags) throws Exception {
    Path object = directory.resolve(source + ".so");
    List<String> command = new ArrayList<>(List.of(compiler, "-shared", "-fPIC"));
    Arrays.stream(flags.split(" ")).filter(flag -> !flag.isEmpty()).forEach(command::add);
    command.addAll(List.of("-o", object.toString(), source));
    Compiled.output(directory, command);
    return object;
  }
}
