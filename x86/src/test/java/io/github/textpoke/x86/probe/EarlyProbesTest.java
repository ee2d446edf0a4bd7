package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.UnsupportedPlanException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.apply.Launched;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.ProgramEnd;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.detour.ReturnOverride;
import io.github.textpoke.x86.probe.ProbeSnapshot.Counted;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.assertj.core.groups.Tuple;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Probes that are there before a program begins, against the program's own counts. */
@RequiresPtrace
@Timeout(value = 120, unit = TimeUnit.SECONDS)
final class EarlyProbesTest {
  /** What constructors and main make of them: see counted.c. */
  private static final String[] BOTH = {"counted:in_executable", "libcounted.so:in_library"};

  private static final String LIBRARY = "libc.so.6";
  private static final String LOADER = "ld-linux-x86-64.so.2";
  private static final int SIGTERM = 15;

  @TempDir Path folder;

  private Launch launch(String program, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Fixture.program(program).toString());
    command.addAll(List.of(arguments));
    return TargetProcess.launch(command).output(Redirect.to(folder.resolve("output").toFile()));
  }

  private static ProgramEnd run(Launch launch) throws InterruptedException {
    try (Launched program = launch.start()) {
      return program.waitFor();
    }
  }

  /** The program's own count. */
  private long own(String function) throws IOException {
    return Files.readString(folder.resolve("output"))
        .lines()
        .filter(line -> line.startsWith(function + " "))
        .mapToLong(line -> Long.parseLong(line.substring(function.length() + 1)))
        .findFirst()
        .orElseThrow();
  }

  private void assertThatCountsAreItsOwn(EarlyProbes probes) throws IOException {
    for (String function : List.of("in_executable", "in_library")) {
      assertThat(probes.snapshot().count(function)).as(function).isEqualTo(own(function));
    }
    assertThat(own("in_library")).isEqualTo(1007);
  }

  /** The last word of each: exit code, signal. */
  @ParameterizedTest
  @CsvSource({"exit, 17, 17, 0", "kill, 9, 0, 9", "kill, 11, 0, 11"})
  void theFirstCallIsCountedAndCountsAreThereHoweverTheProgramEnds(
      String how, String number, int code, int signal) throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), BOTH)) {
      assertThat(run(probes.in(launch("counted", how, number))))
          .isEqualTo(new ProgramEnd(code, signal));

      assertThat(own("in_executable")).isEqualTo(111);
      assertThatCountsAreItsOwn(probes);
      assertThat(probes.functions()).hasSize(2);
      assertThat(probes.unprobed()).isEmpty();
    }
  }

  /**
   * Threads of forked children have the same key as that which has forked them: no call is lost.
   */
  @ParameterizedTest
  @ValueSource(strings = {"threads", "fork"})
  void callsOfThreadsAndOfForkedChildrenAreCountedEachOnce(String how) throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), BOTH)) {
      assertThat(run(probes.in(launch("counted", how, "4")))).isEqualTo(new ProgramEnd(0, 0));

      assertThat(own("in_executable")).isEqualTo(5_000_111);
      assertThatCountsAreItsOwn(probes);
    }
  }

  @Test
  void whatIsCountedUntilTheProgramExecutesAnotherStays() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), BOTH)) {
      assertThat(run(probes.in(launch("counted", "exec")))).isEqualTo(new ProgramEnd(0, 0));

      assertThat(probes.snapshot().count("in_executable")).isEqualTo(111);
    }
  }

  /** As many as another program counts, which runs it step by step from its first instruction. */
  @Test
  void callsOfTheCLibraryAndOfTheLoadersOwnAreAllCounted() throws Exception {
    long[] biases = new long[2];
    try (EarlyProbes probes =
        EarlyProbes.at(ProbeAction.count(), LIBRARY + ":malloc", LOADER + ":*")) {
      Launch launch =
          launch("counted", "exit", "0")
              .patch(
                  process -> {
                    biases[0] = bias(process, LIBRARY);
                    biases[1] = bias(process, LOADER);
                  });
      assertThat(run(probes.in(launch))).isEqualTo(new ProgramEnd(0, 0));
      Counted malloc = most(probes, LIBRARY);
      Counted ofLoader = most(probes, LOADER);

      // The library's constructor calls it.
      assertThat(malloc.count()).isGreaterThanOrEqualTo(7);
      assertThat(ofLoader.count()).isGreaterThan(1);
      assertThat(
              stepped(
                  malloc.function().address() - biases[0],
                  ofLoader.function().address() - biases[1]))
          .isEqualTo(malloc.count() + " " + ofLoader.count());
    }
  }

  private static Counted most(EarlyProbes probes, String object) {
    return probes.snapshot().functions().stream()
        .filter(each -> each.function().name().startsWith(object + ":"))
        .max(Comparator.comparingLong(Counted::count))
        .orElseThrow();
  }

  private static long bias(TargetProcess process, String object) {
    long any =
        process
            .resolver()
            .symbols(object + ":*")
            .filter(found -> found.symbol().kind() == Symbol.Kind.FUNCTION)
            .findFirst()
            .orElseThrow()
            .address();
    return process.resolver().objectAt(any).bias();
  }

  /**
   * How often the program comes to both.
   *
   * @param inLibrary link-time
   * @param inLoader link-time
   */
  private static String stepped(long inLibrary, long inLoader) throws Exception {
    Process stepping =
        new ProcessBuilder(
                Fixture.program("stepped").toString(),
                "/" + LIBRARY,
                Long.toHexString(inLibrary),
                "/" + LOADER,
                Long.toHexString(inLoader),
                Fixture.program("counted").toString(),
                "exit",
                "0")
            .redirectOutput(Redirect.DISCARD)
            .start();
    String said = new String(stepping.getErrorStream().readAllBytes(), StandardCharsets.US_ASCII);
    assertThat(stepping.waitFor()).as(said).isZero();
    return said.strip();
  }

  @ParameterizedTest
  @ValueSource(strings = {"early_static", "early_static_pie"})
  void aProgramWithoutALoaderIsProbedAtItsEntry(String program) throws Exception {
    try (EarlyProbes probes =
        EarlyProbes.at(
            ProbeAction.count(),
            "early_in_preinit",
            "early_in_constructor",
            "early_result",
            "main")) {
      Launch launch =
          launch(program)
              .patchAtEntry(
                  process -> {
                    returning(process, "early_in_preinit");
                    returning(process, "early_in_constructor");
                  });
      assertThat(run(probes.in(launch))).isEqualTo(new ProgramEnd(3, 0));

      assertThat(probes.snapshot().functions())
          .extracting(each -> each.count())
          .containsExactly(1L, 1L, 1L, 1L);
    }
  }

  private static void returning(TargetProcess process, String site) {
    Detours.in(process).at(site).returning(ReturnOverride.returning(0));
  }

  @Test
  void aCallIsCountedAlsoWhereThePatchesBeforeHaveTheFunctionNotRun() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), "early_in_*")) {
      Launch launch =
          launch("early")
              .patchAtEntry(process -> returning(process, "early_in_preinit"))
              .patch(
                  process -> {
                    // Over the probe, which was armed at the entry.
                    returning(process, "early_in_constructor");
                    returning(process, "early_in_library");
                  });
      assertThat(run(probes.in(launch))).isEqualTo(new ProgramEnd(3, 0));

      for (String function :
          List.of("early_in_preinit", "early_in_constructor", "early_in_library")) {
        assertThat(probes.snapshot().count(function)).as(function).isEqualTo(1);
      }
    }
  }

  @Test
  void theyArePatchesAsOthersThatAnyHandleListsAndReverts() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), "main", "libc:fsync");
        Launched program = probes.in(launch("inherited", "wait")).start()) {
      try (TargetProcess other = TargetProcess.attach(program.pid())) {
        assertThat(other.patches())
            .extracting(Patch::label)
            .containsExactly("probe of main (count)", "probe of libc:fsync (count)");
        other.patches().reverse().forEach(Patch::revert);
      }
      assertThat(TargetProcess.status(program.pid()).patches())
          .extracting(PatchStatus::state)
          .containsOnly(PatchStatus.State.RETIRED);
      program.signal(SIGTERM);
      assertThat(program.waitFor()).isEqualTo(new ProgramEnd(0, SIGTERM));
    }
  }

  @Test
  void whatCanNotBeProbedIsSaidAndTheProgramDoesNotBegin() throws Exception {
    try (EarlyProbes none = EarlyProbes.at(ProbeAction.count(), "main", "no_such_function")) {
      assertThatThrownBy(none.in(launch("counted", "exit", "0"))::start)
          .isInstanceOf(NoSuchSymbolException.class)
          .hasMessageContaining("no_such_function");
    }
    // It is shorter than a jump.
    try (EarlyProbes none = EarlyProbes.at(ProbeAction.count(), LOADER + ":_dl_debug_state")) {
      assertThatThrownBy(none.in(launch("counted", "exit", "0"))::start)
          .isInstanceOf(UnsupportedPlanException.class)
          .hasMessageContaining("_dl_debug_state can't be probed");
    }
    assertThat(folder.resolve("output")).isEmptyFile();
  }

  @Test
  void aFunctionThatIsAskedForTwiceIsProbedOnce() throws Exception {
    try (EarlyProbes probes =
        EarlyProbes.at(
            ProbeAction.count(), "counted:main", "main", "libcounted:in_*", "in_library")) {
      assertThat(run(probes.in(launch("counted", "exit", "0")))).isEqualTo(new ProgramEnd(0, 0));

      assertThat(probes.snapshot().functions())
          .extracting(each -> each.function().name(), Counted::count)
          .containsExactly(
              Tuple.tuple("counted:main", 1L), Tuple.tuple("libcounted.so:in_library", 1007L));
    }
  }

  @Test
  void theyAreOfOneProgram() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.count(), "main")) {
      Launch launch = probes.in(launch("counted", "exit", "0"));
      run(launch);

      assertThatThrownBy(launch::start).isInstanceOf(WrongStateException.class);
      assertThat(probes.snapshot().total()).isEqualTo(1);
    }
  }

  /** Times lie in the program's own memory, and its end waits until they are read. */
  @ParameterizedTest
  @CsvSource({"exit, 17, 17", "threads, 4, 0"})
  void everyCallFromTheFirstOnIsTimed(String how, String number, int code) throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.latency(), BOTH)) {
      assertThat(run(probes.in(launch("counted", how, number)))).isEqualTo(new ProgramEnd(code, 0));

      assertThatCountsAreItsOwn(probes);
      for (Counted each : probes.snapshot().functions()) {
        assertThat(each.latencies().orElseThrow().count()).isEqualTo(each.count());
        assertThat(each.latencies().orElseThrow().p99()).isPositive();
      }
    }
  }

  @Test
  void whatChildrenThatAreForkedDoIsNotTimedAndDisturbsNothing() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.latency(), BOTH)) {
      assertThat(run(probes.in(launch("counted", "fork", "4")))).isEqualTo(new ProgramEnd(0, 0));

      assertThat(own("in_executable")).isEqualTo(5_000_111);
      assertThat(probes.snapshot().count("in_executable")).isEqualTo(1_000_111);
      assertThat(probes.snapshot().latencies("in_executable").orElseThrow().count())
          .isEqualTo(1_000_111);
    }
  }

  @Test
  void timesUntilTheProgramExecutesAnotherStay() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.latency(), BOTH)) {
      assertThat(run(probes.in(launch("counted", "exec")))).isEqualTo(new ProgramEnd(0, 0));

      assertThat(probes.snapshot().latencies("in_executable").orElseThrow().count()).isEqualTo(111);
    }
  }

  @Test
  void everyCallFromTheFirstOnIsCaptured() throws Exception {
    ProbeAction.Capture action =
        ProbeAction.capture(List.of(Argument.of(1).as(IntegerType.INT32)))
            .withReturned(IntegerType.INT32);
    try (EarlyProbes probes = EarlyProbes.at(action, BOTH)) {
      assertThat(run(probes.in(launch("counted", "exit", "0")))).isEqualTo(new ProgramEnd(0, 0));

      assertThatCountsAreItsOwn(probes);
      CapturedCalls all = probes.drain();
      assertThat(all.lost()).isZero();
      assertThat(all.calls()).hasSize(111 + 1007);
      // The preinit array's, the constructor's ten, and main's.
      assertThat(all.calls().stream().limit(12).map(call -> call.arguments().get(0)))
          .containsExactly(1L, 0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 0L);
      assertThat(all.calls().stream().limit(111))
          .allSatisfy(
              call ->
                  assertThat(call.returned().orElseThrow()).isEqualTo(call.arguments().get(0) + 1));
      assertThat(probes.drain().calls()).isEmpty();
    }
  }

  @Test
  void ofAProgramThatIsKilledThereIsWhatWasReadBefore() throws Exception {
    try (EarlyProbes probes = EarlyProbes.at(ProbeAction.latency(), BOTH)) {
      assertThat(run(probes.in(launch("counted", "kill", "9")))).isEqualTo(new ProgramEnd(0, 9));

      assertThat(probes.snapshot().count("in_executable")).isBetween(0L, 111L);
    }
  }
}
