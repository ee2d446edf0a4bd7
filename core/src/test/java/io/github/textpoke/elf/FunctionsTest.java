package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class FunctionsTest {
  private static final String SOURCE =
      """
      .text
      .globl named, alias, longer, nosize
      .type named, @function
      .type alias, @function
      .type longer, @function
      named: alias: longer: .cfi_startproc
        nop
        nop
        ret
        .cfi_endproc
        nop
      .size named, 3
      .size alias, 3
      .size longer, 4

      .cfi_startproc
        xor %eax, %eax
        ret
      .cfi_endproc

      .type whole, @function
      whole:
        nop
      .cfi_startproc
        nop
        ret
      .cfi_endproc
      .size whole, .-whole

      .type nosize, @function
      nosize:
        ret
      .type data, @object
      data: .long 0
      .size data, 4

      .section .plt.sec, "ax"
      .cfi_startproc
        nop
        ret
      .cfi_endproc
      """;

  @TempDir Path directory;

  private ElfImage object() throws IOException, InterruptedException {
    TestObjects.source(directory, "f.s", SOURCE);
    TestObjects.run(
        directory, "gcc", "-shared", "-nostdlib", "-Wl,--build-id=none", "-o", "object", "f.s");
    return ElfImage.read(directory.resolve("object"));
  }

  private static ImmutableList<FunctionRange> functions(ElfImage image, Symbols symbols) {
    return Functions.of(image, symbols, EhFrame.of(image));
  }

  @Test
  void countsAnAddressOnceAndCodeWithoutASymbolToo() throws Exception {
    ElfImage image = object();
    Symbols symbols = Symbols.of(image);
    long named = symbols.named("named").get(0).address();
    long whole = symbols.named("whole").get(0).address();

    assertThat(functions(image, symbols))
        .containsExactly(
            new FunctionRange(named, named + 4),
            new FunctionRange(named + 4, named + 7),
            new FunctionRange(whole, whole + 3));
  }

  @Test
  void goesByUnwindInformationAloneWithoutSymbols() throws Exception {
    ElfImage image = object();
    long named = Symbols.of(image).named("named").get(0).address();
    long whole = Symbols.of(image).named("whole").get(0).address();

    assertThat(functions(image, Symbols.NONE))
        .containsExactly(
            new FunctionRange(named, named + 3),
            new FunctionRange(named + 4, named + 7),
            new FunctionRange(whole + 1, whole + 3));
  }

  @Test
  void leavesOutNoFunctionOfALibrary() throws IOException {
    for (Path file : ImmutableList.of(TestObjects.libc(), TestObjects.libjvm())) {
      ElfImage image = ElfImage.read(file);
      LoadedBytes loaded = LoadedBytes.of(image);
      Set<Long> starts = new HashSet<>();
      long last = 0;
      for (FunctionRange function : functions(image, Symbols.of(image))) {
        assertThat(function.start()).isGreaterThan(last);
        last = function.start();
        starts.add(last);
      }
      assertThat(Symbols.of(image).functionRanges().stream().map(FunctionRange::start))
          .filteredOn(loaded::isExecutable)
          .isNotEmpty()
          .allMatch(starts::contains);
    }
  }
}
