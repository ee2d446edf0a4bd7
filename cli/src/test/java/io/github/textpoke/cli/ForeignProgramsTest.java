package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.gson.JsonObject;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.process.SiteName;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.CodeLine;
import io.github.textpoke.x86.plan.X86Planner;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Toggles instructions of the libc of programs that no one here wrote, between two encodings of the
 * same: whatever thread runs whichever, the program must not notice.
 */
@RequiresPtrace
@Timeout(180)
class ForeignProgramsTest {
  private static final int TOGGLES = 2_000;
  private static final int SITES = 3;

  /** Numbers of system calls. */
  private static final int CLOCK_NANOSLEEP = 230;

  private static final int RESTART_SYSCALL = 219;

  /** Prints the same digest after each round; objects above 512 bytes come from malloc. */
  private static final String PYTHON =
      """
      import hashlib
      while True:
        digest = hashlib.sha256()
        for i in range(20000):
          data = bytearray(600 + i % 2000)
          data[i % 600] = i % 251
          if i % 50 == 0: digest.update(data)
        print(digest.hexdigest(), flush=True)
      """;

  private record Change(long address, CodeBytes replacement) {}

  @Test
  void sleepSleepsOn() throws Exception {
    try (ForeignProgram sleep = ForeignProgram.start("sleep", "1000")) {
      sleep.awaitCall(CLOCK_NANOSLEEP);
      toggle(sleep, "libc:clock_nanosleep", ForeignProgramsTest::twin);

      assertThat(sleep.isAlive()).isTrue();
      sleep.awaitCall(RESTART_SYSCALL); // the borrowed thread sleeps on, for the time that is left
    }
  }

  @Test
  void aShellThatStartsProgramsGoesOn() throws Exception {
    // Forks and waits all the time: the patch must hold in children too.
    try (ForeignProgram shell =
        ForeignProgram.start(
            "sh", "-c", "while :; do x=$(sleep 0.001; echo same); echo $x; done")) {
      assertThat(shell.line()).isEqualTo("same");
      toggle(shell, "libc:malloc", ForeignProgramsTest::twin);

      assertThat(shell.line()).isEqualTo("same");
      assertThat(shell.isAlive()).isTrue();
    }
  }

  @Test
  void pythonComputesTheSame() throws Exception {
    try (ForeignProgram python = ForeignProgram.start("python3", "-c", PYTHON)) {
      checkOutputStays(python, "libc:malloc", "libc:free");
    }
  }

  @Test
  void anotherJvmComputesTheSame() throws Exception {
    try (ForeignProgram jvm =
        ForeignProgram.start(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx64m",
            "-cp",
            System.getProperty("java.class.path"),
            BusyProgram.class.getName())) {
      checkOutputStays(jvm, "libc:malloc", "libc:free");
    }
  }

  @Test
  void aNopIsReplacedByAnotherNop() throws Exception {
    try (ForeignProgram python = ForeignProgram.start("python3", "-c", PYTHON)) {
      String before = python.line();
      // Between the loops of its functions compilers put NOPs of many bytes.
      String function = "libc:qsort_r";
      toggle(python, function, ForeignProgramsTest::otherNop);

      Change change = changes(python.pid(), function, ForeignProgramsTest::otherNop).get(0);
      String site = Output.hex(change.address());
      Run.of("apply", python.pid(), site, "--bytes", change.replacement()).assertDone();
      JsonObject nop = Run.of("apply", python.pid(), site, "--nop", "--json").json();
      assertThat(nop.get("old").getAsString()).isEqualTo(change.replacement().hex());
      assertThat(nop.get("new").getAsString())
          .isNotEqualTo(change.replacement().hex())
          .hasSameSizeAs(change.replacement().hex());
      assertThat(python.line()).isEqualTo(before);
      assertThat(python.line()).isEqualTo(before);
    }
  }

  private static void checkOutputStays(ForeignProgram program, String... functions) {
    String before = program.line();
    long traps = 0;
    while (traps == 0) { // else no thread came by, and nothing was tested
      for (String function : functions) {
        traps += toggle(program, function, ForeignProgramsTest::twin);
        assertThat(program.line()).isEqualTo(before);
      }
    }
    assertThat(program.line()).isEqualTo(before);
    assertThat(program.isAlive()).isTrue();
  }

  /** Toggles the first sites of a function that can be changed; returns the traps. */
  private static long toggle(
      ForeignProgram program, String function, Function<CodeLine, Optional<CodeBytes>> other) {
    ImmutableList<Change> changes = changes(program.pid(), function, other);
    assertThat(changes).as(function).isNotEmpty();
    long traps = 0;
    for (Change change : changes) {
      JsonObject json =
          Run.of(
                  "toggle",
                  program.pid(),
                  Output.hex(change.address()),
                  "--bytes",
                  change.replacement(),
                  "--count",
                  TOGGLES,
                  "--json")
              .json();
      assertThat(json.get("toggles").getAsLong()).isEqualTo(TOGGLES);
      traps += json.get("traps").getAsLong();
    }
    return traps;
  }

  private static ImmutableList<Change> changes(
      int pid, String function, Function<CodeLine, Optional<CodeBytes>> other) {
    X86Planner planner = X86Planner.create();
    CodeRegion code;
    try (Look look = new Look(pid)) {
      code = look.resolver().resolve(SiteName.parse(function)).code();
    }
    ImmutableList.Builder<Change> changes = ImmutableList.builder();
    planner.disassemble(code).stream()
        .flatMap(line -> other.apply(line).map(bytes -> new Change(line.address(), bytes)).stream())
        .filter(change -> isPossible(planner, code, change))
        .limit(SITES)
        .forEach(changes::add);
    return changes.build();
  }

  private static boolean isPossible(X86Planner planner, CodeRegion code, Change change) {
    try {
      planner.replace(code, change.address(), Assembly.bytes(change.replacement()));
      return true;
    } catch (PlanRefusedException elsewhere) {
      return false;
    }
  }

  private static Optional<CodeBytes> twin(CodeLine line) {
    return Twin.of(line.bytes()).filter(twin -> !twin.equals(line.bytes()));
  }

  /** Another NOP with the same length: a NOP's displacement, its last byte, is not used. */
  private static Optional<CodeBytes> otherNop(CodeLine line) {
    boolean isNop = line.text().contains("nop") && line.bytes().length() >= 4;
    int last = line.bytes().length() - 1;
    return isNop
        ? Optional.of(line.bytes().with(last, CodeBytes.of(line.bytes().at(last) ^ 1)))
        : Optional.empty();
  }
}
