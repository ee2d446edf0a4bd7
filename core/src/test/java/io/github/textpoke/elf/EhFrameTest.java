package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class EhFrameTest {
  private static final Pattern FDE = Pattern.compile(" FDE .*pc=([0-9a-f]+)\\.\\.([0-9a-f]+)");

  @TempDir Path directory;

  static List<Path> objects() throws IOException {
    return List.of(TestObjects.libc(), TestObjects.libjvm(), TestObjects.strippedProgram());
  }

  @ParameterizedTest
  @MethodSource("objects")
  void findsExactlyTheRangesThatReadelfFinds(Path file) throws Exception {
    TreeSet<String> expected = new TreeSet<>();
    String frames = TestObjects.run(directory, "readelf", "-wfN", file.toString());
    Matcher matcher = FDE.matcher(frames);
    while (matcher.find()) {
      expected.add(matcher.group(1) + ".." + matcher.group(2));
    }
    TreeSet<String> found = new TreeSet<>();
    for (FunctionRange range : EhFrame.of(ElfImage.read(file)).ranges()) {
      found.add(String.format("%016x..%016x", range.start(), range.end()));
    }
    assertThat(found).isEqualTo(expected);
  }

  @Test
  void startsWhereFunctionsStart() throws IOException {
    ElfImage image = ElfImage.read(TestObjects.libjvm());
    EhFrame frames = EhFrame.of(image);
    List<Symbol> functions =
        Symbols.of(image).all().stream()
            .filter(symbol -> symbol.kind() == Symbol.Kind.FUNCTION && symbol.size() > 0)
            .toList();
    long known =
        functions.stream()
            .filter(
                symbol ->
                    frames
                        .rangeAt(symbol.address())
                        .filter(
                            r ->
                                r.start() == symbol.address()
                                    && r.end() == symbol.address() + symbol.size())
                        .isPresent())
            .count();
    assertThat(functions).hasSizeGreaterThan(10_000);
    assertThat(known).isGreaterThan(functions.size() * 95L / 100);
  }

  @Test
  void findsTheRangeOfEachOfItsBytesAndNoOther() throws IOException {
    EhFrame frames = EhFrame.of(ElfImage.read(TestObjects.strippedProgram()));
    assertThat(frames.ranges()).isNotEmpty();
    for (FunctionRange range : frames.ranges()) {
      assertThat(frames.rangeAt(range.start())).hasValue(range);
      assertThat(frames.rangeAt(range.end() - 1)).hasValue(range);
      assertThat(frames.rangeAt(range.end())).isNotEqualTo(java.util.Optional.of(range));
    }
    assertThat(frames.rangeAt(0)).isEmpty();
    assertThat(frames.rangeAt(-1)).isEmpty();
  }

  @Test
  void isEmptyWithoutTheSection() throws Exception {
    TestObjects.source(directory, "f.c", "int f(void) { return 1; }");
    TestObjects.run(
        directory,
        "gcc",
        "-shared",
        "-nostdlib",
        "-fno-asynchronous-unwind-tables",
        "-o",
        "f.so",
        "f.c");
    assertThat(EhFrame.of(ElfImage.read(directory.resolve("f.so"))).ranges()).isEmpty();
  }
}
