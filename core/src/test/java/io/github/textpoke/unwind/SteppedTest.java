package io.github.textpoke.unwind;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.elf.CallFrames;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbol;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import io.github.textpoke.process.SiteResolver;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compares with what gcc's unwinder finds in the program itself, instruction by instruction. */
final class SteppedTest {
  private static final int RSP = 7;

  @TempDir Path directory;

  /** Of a trace, as backtrace(3) has them: it leaves out a return to nowhere. */
  private static List<Long> addresses(StackTrace trace) {
    return trace.frames().stream().map(Frame::pc).filter(pc -> pc != 0).toList();
  }

  /** Steps through the program; the number of stops that were compared. */
  private int compare(String... arguments) throws Exception {
    Path program = StackPrograms.compiled(directory);
    Process process =
        new ProcessBuilder(
                Stream.concat(Stream.of(program.toString()), Stream.of(arguments)).toList())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    int pid = (int) process.pid();
    Symbol symbol = Symbols.of(ElfImage.read(program)).named("_start").get(0);
    Extent start = new Extent(symbol.address(), symbol.size());
    int stops = 0;
    int complete = 0;
    try (BufferedReader output =
            new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.US_ASCII));
        OutputStream input = process.getOutputStream();
        ProcMemReader memory = new ProcMemReader(pid)) {
      Unwinder unwinder = null;
      for (String line = output.readLine(); !line.equals("end"); line = output.readLine()) {
        if (unwinder == null) {
          unwinder = unwinder(pid, memory);
        }
        stops++;
        complete += compare(unwinder, start, line) ? 1 : 0;
        input.write('\n');
        input.flush();
      }
      assertThat(process.waitFor()).isZero();
    } finally {
      process.destroyForcibly().waitFor();
    }
    assertThat(complete).isGreaterThan(stops * 99 / 100);
    return stops;
  }

  private static Unwinder unwinder(int pid, ProcMemReader memory) {
    SiteResolver resolver = new SiteResolver(pid, MemoryMap.read(pid), memory);
    Map<ElfImage, CallFrames> known = new HashMap<>();
    CodeObjects objects =
        address -> {
          Optional<ImageInMemory> object = resolver.objectOf(address);
          return object.map(
              found ->
                  new CodeObjects.Loaded(
                      known.computeIfAbsent(found.image(), CallFrames::of), found.bias()));
        };
    return new Unwinder(CallConvention.AMD64, objects, OwnCode.NONE, memory);
  }

  /** Whether the trace is complete. */
  private static boolean compare(Unwinder unwinder, Extent start, String line) {
    List<Long> numbers =
        Stream.of(line.substring("step ".length()).replace("| ", "").split(" "))
            .map(word -> Long.parseUnsignedLong(word, 16))
            .toList();
    long pc = numbers.get(1);
    ImmutableMap.Builder<Integer, Long> registers = ImmutableMap.builder();
    for (int i = 0; i < 16; i++) {
      registers.put(i, numbers.get(2 + i));
    }
    // The handler returns to the kernel's code, which returns to where we were interrupted.
    List<Long> expected = numbers.subList(19, numbers.size());
    StackTrace trace = unwinder.unwind(new RegisterValues(pc, registers.buildOrThrow()));
    assertThat(addresses(trace)).as(line).isEqualTo(expected);
    // Where a program jumps without a return, as to a landing pad, gcc's unwinder is lost as well.
    boolean isToTheEnd = start.contains(expected.get(expected.size() - 1));
    assertThat(trace.isComplete()).as("%s: %s", line, trace.end()).isEqualTo(isToTheEnd);
    assertThat(numbers.get(2 + RSP))
        .isLessThanOrEqualTo(trace.frames().get(0).cfa().orElse(Long.MAX_VALUE));
    return isToTheEnd;
  }

  @Test
  void agreesWithGccsUnwinderAtEveryInstructionOfFunctionsPltAndLoader() throws Exception {
    assertThat(compare("steps", "1")).isGreaterThan(1_500);
  }

  @Test
  void agreesWithGccsUnwinderWhileAnExceptionIsThrown() throws Exception {
    assertThat(compare("steps", "13", "throws")).isGreaterThan(1_500);
  }
}
