package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.apply.ThreadStacks.Gone;
import io.github.textpoke.apply.ThreadStacks.Look;
import io.github.textpoke.apply.ThreadStacks.Running;
import io.github.textpoke.apply.ThreadStacks.Seen;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.unwind.Frame;
import io.github.textpoke.unwind.OwnCode;
import io.github.textpoke.unwind.StackPrograms;
import io.github.textpoke.unwind.StackTrace;
import io.github.textpoke.unwind.StackTrace.Complete;
import io.github.textpoke.unwind.StackTrace.Unknown;
import io.github.textpoke.unwind.Usage.Possible;
import io.github.textpoke.unwind.Usage.Untold;
import io.github.textpoke.unwind.Usage.Unused;
import io.github.textpoke.unwind.Usage.Used;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Looks at threads that have said beforehand where they are. */
@Timeout(60)
final class ThreadStacksTest {
  private static final int THREADS = 10;

  @TempDir static Path directory;

  private static Process process;
  private static ProcMemReader memory;
  private static Symbols symbols;

  /** What each thread has said: its id, and the callers of the function in which it is blocked. */
  private static final Map<String, Said> SAID = new HashMap<>();

  private record Said(int tid, List<Long> callers) {}

  @BeforeAll
  static void start() throws Exception {
    Path program = StackPrograms.compiled(directory);
    symbols = Symbols.of(ElfImage.read(program));
    process =
        new ProcessBuilder(program.toString(), "threads")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    BufferedReader output =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.US_ASCII));
    while (SAID.size() < THREADS) {
      String[] words = output.readLine().split(" ");
      List<Long> callers =
          Stream.of(words).skip(2).map(word -> Long.parseUnsignedLong(word, 16)).toList();
      SAID.put(words[0], new Said(Integer.parseInt(words[1]), callers));
    }
    memory = new ProcMemReader((int) process.pid());
  }

  @AfterAll
  static void end() throws Exception {
    memory.close();
    process.destroyForcibly().waitFor();
  }

  private static ThreadStacks stacks() {
    return new ThreadStacks((int) process.pid(), memory, OwnCode.NONE, address -> Optional.empty());
  }

  /** That of a thread which is blocked, or will be in a moment. */
  private static StackTrace trace(String thread, String blockedIn) {
    ThreadStacks stacks = stacks();
    while (true) {
      if (stacks.look(SAID.get(thread).tid()) instanceof Seen seen
          && seen.trace().frames().stream().anyMatch(frame -> isIn(frame, blockedIn))) {
        return seen.trace();
      }
      LockSupport.parkNanos(100_000);
    }
  }

  private static Extent code(String function) {
    Symbol symbol = symbols.named(function).get(0);
    return new Extent(symbol.address(), symbol.size());
  }

  private static boolean isIn(Frame frame, String function) {
    return code(function).contains(frame.codeAddress());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"deep", "alloca", "pointer", "assembly", "cleanup", "library", "handler", "main"})
  void seesWhatTheThreadItselfSawOfItsCallers(String thread) {
    StackTrace trace = trace(thread, "stay");
    assertThat(trace.end()).isEqualTo(new Complete());
    List<Long> addresses = trace.frames().stream().map(Frame::pc).toList();
    List<Long> callers = SAID.get(thread).callers();
    assertThat(callers).hasSizeGreaterThanOrEqualTo(thread.equals("deep") ? 2_000 : 2);
    int own = addresses.size() - callers.size() - 1;
    assertThat(addresses.subList(own + 1, addresses.size())).isEqualTo(callers);
    assertThat(isIn(trace.frames().get(own), "stay")).isTrue();
  }

  @Test
  void framesOnAStackLieAboveEachOther() {
    List<Long> places =
        trace("deep", "stay").frames().stream().flatMap(f -> f.cfa().stream().boxed()).toList();
    assertThat(places).hasSizeGreaterThan(2_000).isSorted().doesNotHaveDuplicates();
  }

  @Test
  void knowsWhereASignalHandlerWasCalled() {
    List<Frame> frames = trace("handler", "stay").frames();
    int call = 0;
    while (!frames.get(call).isSignalFrame()) {
      call++;
    }
    assertThat(isIn(frames.get(call - 1), "stay")).isTrue();
    assertThat(frames.get(call + 1).isReturnAddress()).isFalse();
    // Two stacks: an alternate one from malloc, and the thread's own.
    assertThat(
            Math.abs(
                frames.get(call + 1).cfa().orElseThrow()
                    - frames.get(call - 1).cfa().orElseThrow()))
        .isGreaterThan(1 << 18);
  }

  @Test
  void endsWhereARegisterIsNeededThatNobodyKnows() {
    StackTrace trace = trace("bare", "bare_pause");
    assertThat(trace.frames()).hasSize(2);
    assertThat(isIn(trace.frames().get(0), "bare_pause")).isTrue();
    assertThat(isIn(trace.frames().get(1), "bare")).isTrue();
    assertThat(trace.end())
        .isInstanceOfSatisfying(
            Unknown.class,
            unknown -> {
              assertThat(unknown.reason()).contains("register 6");
              assertThat(unknown.pc()).isEqualTo(trace.frames().get(1).pc());
              assertThat(unknown.stackPointer())
                  .isEqualTo(trace.frames().get(0).cfa().orElseThrow());
            });
  }

  @ParameterizedTest
  @CsvSource({
    "handler, spins",
    "handler, stay",
    "cleanup, catcher",
    "cleanup, guarded.cold",
    "assembly, pushes",
    "library, staying",
    "deep, deep"
  })
  void findsThatCodeIsUsed(String thread, String function) {
    trace(thread, "stay");
    assertThat(stacks().use(SAID.get(thread).tid(), List.of(code("unrelated"), code(function))))
        .isInstanceOfSatisfying(
            Used.class, used -> assertThat(isIn(used.frame(), function)).isTrue());
  }

  @ParameterizedTest
  @CsvSource({"handler, bare", "cleanup, thrower", "assembly, leaf", "deep, uses_alloca"})
  void findsThatCodeIsNotUsed(String thread, String function) {
    trace(thread, "stay");
    assertThat(stacks().use(SAID.get(thread).tid(), List.of(code("unrelated"), code(function))))
        .isEqualTo(new Unused(true));
  }

  @Test
  void takesWordsOnTheStackWhereFramesAreNotKnown() throws Exception {
    trace("bare", "bare_pause");
    int tid = SAID.get("bare").tid();
    assertThat(stacks().use(tid, List.of(code("bare")))).isInstanceOf(Used.class);
    assertThat(stacks().use(tid, List.of(code("unrelated")))).isEqualTo(new Unused(false));
    assertThat(stacks().use(tid, List.of(code("unrelated"), code("calls_bare"))))
        .isInstanceOfSatisfying(
            Possible.class,
            possible -> {
              assertThat(code("calls_bare").contains(possible.word())).isTrue();
              assertThat(possible.reason()).contains("register 6");
            });
  }

  @Test
  void saysThatAThreadRuns() {
    int tid = SAID.get("runs").tid();
    assertThat(stacks().look(tid)).isEqualTo(new Running());
    assertThat(stacks().use(tid, List.of(code("leaf"))))
        .isEqualTo(new Untold("thread " + tid + " runs"));
  }

  @Test
  void saysThatAThreadIsGone() {
    Look look = stacks().look(Integer.MAX_VALUE);
    assertThat(look).isEqualTo(new Gone());
  }

  @Test
  void namesTheFunctionOfAFrame() {
    StackTrace trace = trace("pointer", "stay");
    List<String> names = trace.frames().stream().map(stacks()::describe).toList();
    assertThat(names)
        .anyMatch(name -> name.startsWith("stacks:stay+"))
        .anyMatch(name -> name.startsWith("stacks:with_frame_pointer+"));
  }
}
