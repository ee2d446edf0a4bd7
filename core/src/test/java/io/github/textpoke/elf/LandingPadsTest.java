package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.PatchException.BadObjectException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class LandingPadsTest {
  private static final long SEED = 0x6c61_6e64_696e_6721L;

  private static final String CLEANUPS =
      """
      extern void work(int);
      extern void give_back(int *);
      int first(int n) {
        int held __attribute__((cleanup(give_back))) = n;
        work(n);
        { int other __attribute__((cleanup(give_back))) = n + 1; work(n + 2); work(other); }
        return n;
      }
      int without(int n) { return n + 1; }
      __attribute__((cold)) void rare(int n) {
        int held __attribute__((cleanup(give_back))) = n;
        work(n);
      }
      int second(int n) {
        int held __attribute__((cleanup(give_back))) = n;
        if (__builtin_expect(n > 100, 0)) { work(n * 3); rare(n); }
        work(n);
        return held;
      }
      """;

  /** A record of gcc's table of calls: start, length, pad, action. */
  private static final Pattern CALL =
      Pattern.compile("\\.uleb128 \\.LEHB\\d+-\\.L\\w+\\n\\s\\.uleb128 .*\\n\\s\\.uleb128 (.*)\\n");

  @TempDir Path directory;

  private Path compile(String name, String source, String... flags) throws Exception {
    TestObjects.source(directory, name, source);
    java.util.List<String> command = new java.util.ArrayList<>(java.util.List.of("gcc"));
    command.addAll(java.util.List.of(flags));
    command.addAll(java.util.List.of("-shared", "-nostdlib", "-o", name + ".so", name));
    TestObjects.run(directory, command.toArray(String[]::new));
    return directory.resolve(name + ".so");
  }

  @ParameterizedTest
  @ValueSource(strings = {"-O0", "-O1", "-O2", "-Os"})
  void findsExactlyTheLabelsThatGccPutsIntoItsTables(String level) throws Exception {
    TestObjects.source(directory, "pads.c", CLEANUPS);
    TestObjects.run(directory, "gcc", level, "-fPIC", "-fexceptions", "-S", "pads.c");
    String assembly = Files.readString(directory.resolve("pads.s"));
    Path object = compile("pads.s", assembly, "-Wa,--keep-locals");
    ElfImage image = ElfImage.read(object);
    TreeSet<Long> expected = new TreeSet<>();
    Matcher calls = CALL.matcher(assembly);
    while (calls.find()) {
      if (!calls.group(1).equals("0")) {
        String label = calls.group(1).substring(0, calls.group(1).indexOf('-'));
        expected.add(Symbols.of(image).named(label).get(0).address());
      }
    }
    assertThat(expected).hasSizeGreaterThanOrEqualTo(4);
    assertThat(LandingPads.of(image).all().asList()).containsExactlyElementsOf(expected);
  }

  @Test
  void tellsThePadsOfARangeAndTheFirstOfThem() throws Exception {
    LandingPads pads =
        LandingPads.of(ElfImage.read(compile("pads.c", CLEANUPS, "-O1", "-fPIC", "-fexceptions")));
    long first = pads.all().get(0);
    long second = pads.all().get(1);
    assertThat(pads.in(first, second).asList()).containsExactly(first);
    assertThat(pads.in(first + 1, second + 1).asList()).containsExactly(second);
    assertThat(pads.firstIn(first + 1, second)).isEmpty();
    assertThat(pads.firstIn(0, Long.MAX_VALUE)).hasValue(first);
    assertThat(pads.in(second, first).asList()).isEmpty();
  }

  @Test
  void findsThemInTheCLibraryAndNowhereElseThanInCode() throws Exception {
    ElfImage image = ElfImage.read(TestObjects.libc());
    LandingPads pads = LandingPads.of(image);
    EhFrame frames = EhFrame.of(image);
    assertThat(pads.all().length()).isGreaterThan(10);
    assertThat(pads.all().asList())
        .allMatch(pad -> frames.rangeAt(pad).filter(range -> range.start() < pad).isPresent());
  }

  /** The encodings of gcc and clang: omitted base or a given one, numbers of all widths. */
  @ParameterizedTest
  @CsvSource({
    "0xff, '', 0x01, .uleb128",
    "0xff, '', 0x03, .long",
    "0xff, '', 0x0b, .long",
    "0xff, '', 0x02, .short",
    "0xff, '', 0x04, .quad",
    "0xff, '', 0x09, .sleb128",
    "0x00, .quad f, 0x01, .uleb128",
    "0x04, .quad f, 0x03, .long",
    "0x1b, .long f-., 0x03, .long",
    "0x1c, .quad f-., 0x01, .uleb128",
    "0x40, .quad 0, 0xff, ''",
    "0x9b, .long f-., 0xff, ''",
    "0x30, .quad f, 0xff, ''",
    "0xff, '', 0x50, .quad",
  })
  void readsEachEncodingAndRefusesThoseThatNobodyWrites(
      String baseEncoding, String base, String encoding, String number) throws Exception {
    boolean isKnown = !number.isEmpty() && !encoding.equals("0x50");
    String numbers = number.isEmpty() ? ".uleb128" : number;
    String source =
        """
        .text
        .globl f
        f: .cfi_startproc
          .cfi_personality 0x9b, person
          .cfi_lsda 0x1b, table
        1: call f
        2: ret
          nop
        pad: nop
          ret
          .cfi_endproc
        end:
        .section .data.rel.local,"aw"
        person: .quad f
        .section .gcc_except_table,"a"
        table: .byte BASEENC
          BASE
          .byte 0xff
          .byte ENC
          .uleb128 4f-3f
        3: NUM 1b-f
          NUM 2b-1b
          NUM pad-f
          .uleb128 0
          NUM 2b-f
          NUM end-2b
          NUM 0
          .uleb128 0
        4:
        """
            .replace("BASEENC", baseEncoding)
            .replace("BASE", base)
            .replace("ENC", number.isEmpty() ? "0x01" : encoding)
            .replace("NUM", numbers);
    // The file's own bytes count; absolute addresses are right where the object is not moved.
    TestObjects.source(directory, "given.s", source);
    TestObjects.run(directory, "gcc", "-nostdlib", "-no-pie", "-Wl,-e,0", "-o", "given", "given.s");
    ElfImage image = ElfImage.read(directory.resolve("given"));
    long pad = Symbols.of(image).named("pad").get(0).address();
    if (isKnown || baseEncoding.equals("0x40")) {
      long expected = baseEncoding.equals("0x40") ? pad - address(image, "f") : pad;
      if (baseEncoding.equals("0x40")) {
        // A base of 0 is none: its pads are no code.
        assertThatThrownBy(() -> LandingPads.of(image)).hasMessageContaining("no code");
      } else {
        assertThat(LandingPads.of(image).all().asList()).containsExactly(expected);
      }
    } else {
      assertThatThrownBy(() -> LandingPads.of(image))
          .isInstanceOf(BadObjectException.class)
          .hasMessageContaining("encoding");
    }
  }

  private static long address(ElfImage image, String name) {
    return Symbols.of(image).named(name).get(0).address();
  }

  @Test
  void refusesATableWhosePadsOrCallsLieOutsideOfTheFunction() throws Exception {
    String source =
        """
        .text
        .globl f
        f: .cfi_startproc
          .cfi_personality 0x9b, person
          .cfi_lsda 0x1b, table
          call f
          ret
          .cfi_endproc
        .section .data.rel.local,"aw"
        person: .quad f
        .section .gcc_except_table,"a"
        table: .byte 0xff, 0xff, 0x03
          .uleb128 13
          .long START, 1, PAD
          .uleb128 0
        """;
    ElfImage far =
        ElfImage.read(compile("far.s", source.replace("START", "0").replace("PAD", "0x7000000")));
    assertThatThrownBy(() -> LandingPads.of(far)).hasMessageContaining("no code");
    ElfImage outside =
        ElfImage.read(compile("outside.s", source.replace("START", "6").replace("PAD", "1")));
    assertThatThrownBy(() -> LandingPads.of(outside)).hasMessageContaining("outside of");
  }

  /** Each outcome is an answer of addresses in code, or a refusal; and it comes soon. */
  @Test
  void answersOrRefusesWhateverBytesOfTheTablesChange() throws Exception {
    byte[] good = Files.readAllBytes(TestObjects.libc());
    ElfImage image = ElfImage.parse("libc", ByteBuffer.wrap(good));
    SplittableRandom random = new SplittableRandom(SEED);
    Section tables = image.section(".gcc_except_table").orElseThrow();
    Section frames = image.section(".eh_frame").orElseThrow();
    byte[] bytes = good.clone();
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int refused = 0;
    int changed = 0;
    for (int round = 0; round < 1_000; round++) {
      Section section = random.nextInt(4) == 0 ? frames : tables;
      int at = (int) section.offset() + random.nextInt((int) section.size() - 8);
      switch (random.nextInt(3)) {
        case 0 -> buffer.put(at, (byte) random.nextInt());
        case 1 -> buffer.putInt(at, random.nextInt());
        case 2 -> buffer.putLong(at, random.nextBoolean() ? -1 : random.nextLong());
        default -> throw new AssertionError();
      }
      try {
        ElfImage hostile = ElfImage.parse("hostile", ByteBuffer.wrap(bytes));
        LandingPads pads =
            Assertions.assertTimeoutPreemptively(
                Duration.ofSeconds(20), () -> LandingPads.of(hostile));
        assertThat(pads.all().asList()).allMatch(hostile::isExecutable);
        if (!pads.all().equals(LandingPads.of(image).all())) {
          changed++;
        }
      } catch (BadObjectException e) {
        refused++;
      }
      System.arraycopy(good, at, bytes, at, 8);
    }
    assertThat(refused).as("refused, seed %x", SEED).isGreaterThan(50);
    assertThat(changed).as("changed, seed %x", SEED).isGreaterThan(20);
  }

  /** A thousand functions that share one long table would be read a thousand times. */
  @Test
  void refusesTablesThatAreSharedToKeepUsBusy() throws Exception {
    StringBuilder source =
        new StringBuilder(".section .data.rel.local,\"aw\"\nperson: .quad f0\n.text\n");
    for (int i = 0; i < 1_000; i++) {
      source.append(
          """
          f%d: .cfi_startproc
            .cfi_personality 0x9b, person
            .cfi_lsda 0x1b, table
            ret
            .cfi_endproc
          """
              .formatted(i));
    }
    source.append(
        """
        .section .gcc_except_table,"a"
        table: .byte 0xff, 0xff, 0x01
          .uleb128 40000
          .fill 40000, 1, 0
        """);
    ElfImage image = ElfImage.read(compile("shared.s", source.toString()));
    assertThatThrownBy(() -> LandingPads.of(image))
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining("too long");
  }

  @Test
  void isEmptyWithoutUnwindInformation() throws Exception {
    ElfImage image =
        ElfImage.read(
            compile("f.c", "int f(void) { return 1; }", "-fno-asynchronous-unwind-tables"));
    assertThat(LandingPads.of(image).all().asList()).isEmpty();
  }

  @Test
  void findsTheEndsOfRangesThatReadelfFinds() throws Exception {
    ElfImage image = ElfImage.read(TestObjects.strippedProgram());
    EhFrame frames = EhFrame.of(image);
    long low = frames.ranges().get(3).start();
    long high = frames.ranges().get(frames.ranges().size() - 3).start();
    assertThat(frames.endingIn(low, high).stream().map(FunctionRange::end).toList())
        .isNotEmpty()
        .containsExactlyElementsOf(
            frames.ranges().stream()
                .map(FunctionRange::end)
                .filter(end -> end >= low && end < high)
                .collect(Collectors.toList()));
  }
}
