package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.FrameRow.CfaExpression;
import io.github.textpoke.elf.FrameRow.CfaOffset;
import io.github.textpoke.elf.FrameRow.InRegister;
import io.github.textpoke.elf.FrameRow.RegisterRule;
import io.github.textpoke.elf.FrameRow.SameValue;
import io.github.textpoke.elf.FrameRow.SavedAt;
import io.github.textpoke.elf.FrameRow.SavedWhere;
import io.github.textpoke.elf.FrameRow.Undefined;
import io.github.textpoke.elf.FrameRow.ValueBy;
import io.github.textpoke.elf.FrameRow.ValueOf;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Compares with what readelf makes of the same objects. */
final class CallFramesTest {
  private static final long SEED = 0x6361_6c6c_6672_616dL;
  private static final int FLIPS = 3_000;
  private static final long BIAS = 0x7f12_3456_0000L;

  private static final List<String> NAMES =
      List.of(
          "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
          "r13", "r14", "r15", "ra");

  @TempDir Path directory;

  static Stream<Path> objects() throws Exception {
    Path libc = TestObjects.libc();
    return Stream.of(
        libc,
        libc.resolveSibling("ld-linux-x86-64.so.2"),
        libc.resolveSibling("libgcc_s.so.1"),
        Path.of(TestObjects.run(Path.of("/"), "g++", "-print-file-name=libstdc++.so.6").strip()),
        TestObjects.libjvm(),
        TestObjects.strippedProgram());
  }

  @ParameterizedTest
  @MethodSource("objects")
  void hasTheSameRowsAsReadelfForEveryEntry(Path object) throws Exception {
    CallFrames frames = CallFrames.of(ElfImage.read(object));
    int compared = 0;
    Process readelf =
        new ProcessBuilder("readelf", "--wide", "--debug-dump=frames-interp", object.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try (BufferedReader output =
        new BufferedReader(
            new InputStreamReader(readelf.getInputStream(), StandardCharsets.ISO_8859_1))) {
      Map<String, String> ofCies = new HashMap<>();
      String cie = "";
      List<String> columns = List.of();
      List<String> expected = new ArrayList<>();
      long start = 0;
      for (String line = output.readLine(); line != null; line = output.readLine()) {
        String[] words = line.strip().replaceAll("r\\d+ \\((r\\w+)\\)", "$1").split(" +");
        if (line.contains(" FDE ")) {
          start = Long.parseUnsignedLong(line.replaceAll(".*pc=([0-9a-f]+)\\.\\..*", "$1"), 16);
          cie = words[4].substring("cie=".length());
        } else if (line.contains(" CIE ")) {
          start = 0;
          cie = words[0];
        } else if (words[0].equals("LOC")) {
          columns = List.of(words).subList(2, words.length);
        } else if (words.length == columns.size() + 2) {
          expected.add(normal(words, columns));
        } else if (line.isBlank() && !cie.isEmpty()) {
          if (start == 0) {
            ofCies.put(cie, expected.isEmpty() ? "" : expected.get(0).substring(1));
          } else {
            // There is no table where it would have only the row of the CIE.
            List<String> rows =
                expected.isEmpty() ? List.of(Long.toHexString(start) + ofCies.get(cie)) : expected;
            assertThat(described(frames, start)).as("0x%x", start).isEqualTo(rows);
            compared++;
          }
          cie = "";
          columns = List.of();
          expected.clear();
        }
      }
    }
    readelf.waitFor(); // it complains that there is no debug file: what counts is what it has read
    assertThat(compared).isEqualTo(frames.ranges().size()).isGreaterThan(20);
  }

  /** The table of a program as it stands in memory, with what follows it. */
  @Test
  void tableInMemoryHasTheRowsOfTheFileAtAbsoluteAddresses() throws Exception {
    ElfImage image = ElfImage.read(TestObjects.strippedProgram());
    CallFrames expected = CallFrames.of(image);
    FunctionRange table = LoadedBytes.section(image, ".eh_frame").orElseThrow();
    CodeBytes bytes =
        LoadedBytes.of(image).bytes(table.start(), table.end() - table.start()).orElseThrow();
    List<FunctionRange> code =
        List.of(new FunctionRange(BIAS, BIAS + table.start()), new FunctionRange(0, 1));

    CallFrames inMemory =
        CallFrames.inMemory(
            "in memory", BIAS + table.start(), bytes.concat(CodeBytes.filled(64, 0xa5)), code);

    assertThat(inMemory.ranges())
        .hasSizeGreaterThan(5)
        .isEqualTo(
            expected.ranges().stream()
                .map(range -> new FunctionRange(BIAS + range.start(), BIAS + range.end()))
                .toList());
    for (FunctionRange range : expected.ranges()) {
      assertThat(inMemory.rowsAround(BIAS + range.start()))
          .hasSameSizeAs(expected.rowsAround(range.start()));
      assertThat(inMemory.rowAt(BIAS + range.end() - 1).map(FrameRow::cfa))
          .isEqualTo(expected.rowAt(range.end() - 1).map(FrameRow::cfa));
    }
  }

  @Test
  void tableInMemoryThatHasNoEndIsRefused() {
    assertThatThrownBy(
            () -> CallFrames.inMemory("in memory", BIAS, CodeBytes.filled(64, 0x10), List.of()))
        .isInstanceOf(BadObjectException.class);
  }

  /** One row of readelf, its registers in our order; what has no rule is left out. */
  private static String normal(String[] words, List<String> columns) {
    Map<Integer, String> rules = new TreeMap<>();
    for (int i = 0; i < columns.size(); i++) {
      String rule = words[i + 2];
      int number = NAMES.indexOf(columns.get(i));
      assertThat(number).as(columns.get(i)).isNotNegative();
      // readelf has one letter for what is undefined and for what has no rule.
      if (!rule.equals("u") || number == 16) {
        rules.put(number, rule);
      }
    }
    return Long.toHexString(Long.parseUnsignedLong(words[0], 16)) + " " + words[1] + " " + rules;
  }

  private static List<String> described(CallFrames frames, long start) {
    List<String> rows = new ArrayList<>();
    for (FrameRow row : frames.rowsAround(start)) {
      Map<Integer, String> rules = new TreeMap<>();
      row.registers()
          .forEach(
              (number, rule) -> {
                if (number == 16 || !(rule instanceof Undefined)) {
                  rules.put(number, words(rule));
                }
              });
      String cfa =
          row.cfa() instanceof CfaOffset offset
              ? NAMES.get(offset.register()) + signed(offset.offset())
              : "exp";
      rows.add(Long.toHexString(row.start()) + " " + cfa + " " + rules);
      assertThat(frames.rowAt(row.start())).contains(row);
    }
    return rows;
  }

  private static String signed(long number) {
    return (number < 0 ? "" : "+") + number;
  }

  private static String words(RegisterRule rule) {
    if (rule instanceof SavedAt saved) {
      return "c" + signed(saved.offset());
    } else if (rule instanceof ValueOf value) {
      return "v" + signed(value.offset());
    } else if (rule instanceof SavedWhere) {
      return "exp";
    } else if (rule instanceof ValueBy) {
      return "vexp";
    } else if (rule instanceof SameValue) {
      return "s";
    } else if (rule instanceof InRegister in) {
      return NAMES.get(in.register());
    }
    return "u";
  }

  /** Puts {@code directives} into a function of three instructions: at 0, 1 and 2. */
  private CallFrames assembled(String first, String second) throws Exception {
    TestObjects.source(
        directory,
        "rows.s",
        """
        .text
        .globl f
        f:
        .cfi_startproc
        nop
        %s
        nop
        %s
        nop
        .cfi_endproc
        """
            .formatted(first, second));
    TestObjects.run(directory, "gcc", "-shared", "-nostdlib", "-o", "rows.so", "rows.s");
    return CallFrames.of(ElfImage.read(directory.resolve("rows.so")));
  }

  private static FrameRow row(CallFrames frames, int offset) {
    return frames.rowAt(frames.ranges().get(0).start() + offset).orElseThrow();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        ".cfi_def_cfa 6, 24 | CfaOffset[register=6, offset=24]",
        ".cfi_def_cfa_register 6 | CfaOffset[register=6, offset=8]",
        ".cfi_def_cfa_offset 300 | CfaOffset[register=7, offset=300]",
        ".cfi_escape 0x12,6,0x7e | CfaOffset[register=6, offset=16]",
        ".cfi_escape 0x13,0x7e | CfaOffset[register=7, offset=16]",
        ".cfi_escape 0x0f,2,0x77,8 | CfaExpression[expression=77 08]",
        ".cfi_escape 0x2e,16 | CfaOffset[register=7, offset=8]",
      })
  void readsEveryWayToSayWhereTheFrameIs(String directive, String expected) throws Exception {
    CallFrames frames = assembled(directive, ".cfi_def_cfa 7, 8");
    assertThat(row(frames, 0).cfa()).isEqualTo(new CfaOffset(7, 8));
    assertThat(row(frames, 1).cfa().toString()).isEqualTo(expected);
    assertThat(row(frames, 2).cfa()).isEqualTo(new CfaOffset(7, 8));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        ".cfi_offset 3, -16 | 3 | SavedAt[offset=-16]",
        ".cfi_escape 0x05,3,2 | 3 | SavedAt[offset=-16]",
        ".cfi_offset 100, -800 | 100 | SavedAt[offset=-800]",
        ".cfi_escape 0x11,3,0x7e | 3 | SavedAt[offset=16]",
        ".cfi_escape 0x2f,3,2 | 3 | SavedAt[offset=16]",
        ".cfi_escape 0x14,3,2 | 3 | ValueOf[offset=-16]",
        ".cfi_escape 0x15,3,0x7e | 3 | ValueOf[offset=16]",
        ".cfi_undefined 16 | 16 | Undefined[]",
        ".cfi_same_value 3 | 3 | SameValue[]",
        ".cfi_register 3, 12 | 3 | InRegister[register=12]",
        ".cfi_escape 0x10,3,2,0x76,0x78 | 3 | SavedWhere[expression=76 78]",
        ".cfi_escape 0x16,3,2,0x76,0x78 | 3 | ValueBy[expression=76 78]",
      })
  void readsEveryWayToSayWhereARegisterIs(String directive, int number, String expected)
      throws Exception {
    CallFrames frames = assembled(directive, ".cfi_restore " + number);
    assertThat(row(frames, 1).registers().get(number).toString()).isEqualTo(expected);
    assertThat(row(frames, 2).registers()).isEqualTo(row(frames, 0).registers());
  }

  @Test
  void bringsARememberedStateBackWithItsFrameAddress() throws Exception {
    CallFrames frames =
        assembled(
            ".cfi_def_cfa_offset 16\n.cfi_offset 6, -16\n.cfi_remember_state\n"
                + ".cfi_def_cfa 7, 8\n.cfi_restore 6\n",
            ".cfi_restore_state");
    assertThat(row(frames, 1).cfa()).isEqualTo(new CfaOffset(7, 8));
    assertThat(row(frames, 1).registers()).doesNotContainKey(6);
    assertThat(row(frames, 2).cfa()).isEqualTo(new CfaOffset(7, 16));
    assertThat(row(frames, 2).registers()).containsEntry(6, new SavedAt(-16));
  }

  @Test
  void knowsTheKernelsCallOfASignalHandler() throws Exception {
    CallFrames frames = assembled(".cfi_signal_frame", "");
    assertThat(row(frames, 0).isSignalFrame()).isTrue();
    assertThat(row(assembled("", ""), 0).isSignalFrame()).isFalse();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        ".cfi_escape 0x3f | instruction 0x3f",
        ".cfi_escape 0x0b | not remembered",
        ".cfi_escape 0x07,0xff,0x7f | register 16383",
        ".cfi_escape 0x0f,2,0x77,8,0x0e,8 | no parts",
        ".cfi_escape 0x0f,0x7f | 127 bytes",
        ".rept 65;.cfi_remember_state;.endr | more than 64",
      })
  void refusesInstructionsThatMakeNoSense(String directive, String reason) throws Exception {
    CallFrames frames = assembled(directive, "");
    assertThatThrownBy(() -> row(frames, 2))
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining(reason);
  }

  @Test
  void hasNoRowWhereNoEntryIs() throws Exception {
    CallFrames frames = assembled("", "");
    FunctionRange range = frames.ranges().get(0);
    assertThat(frames.rowAt(range.start() - 1)).isEmpty();
    assertThat(frames.rowAt(range.end() - 1)).isPresent();
    assertThat(frames.rowAt(range.end())).isEmpty();
    assertThat(frames.rowsAround(range.end())).isEmpty();
  }

  /** Whatever is flipped, each entry is read or refused, and so is the whole. */
  @Test
  void flippedBitsAreReadOrRefused() throws Exception {
    Path object = TestObjects.libc().resolveSibling("libgcc_s.so.1");
    byte[] bytes = Files.readAllBytes(object);
    Section section = ElfImage.read(object).section(".eh_frame").orElseThrow();
    SplittableRandom random = new SplittableRandom(SEED);
    int refused = 0;
    for (int i = 0; i < FLIPS; i++) {
      int at = (int) section.offset() + random.nextInt((int) section.size());
      int bit = 1 << random.nextInt(8);
      bytes[at] ^= (byte) bit;
      refused += readAll(bytes);
      bytes[at] ^= (byte) bit;
    }
    assertThat(refused).isBetween(FLIPS / 100, FLIPS - 1);
  }

  /** 1 where something was refused, 0 where all was read. */
  private static int readAll(byte[] bytes) {
    try {
      CallFrames frames = CallFrames.of(ElfImage.parse("flipped", ByteBuffer.wrap(bytes)));
      for (FunctionRange range : frames.ranges()) {
        assertThat(frames.rowsAround(range.start())).isNotEmpty();
      }
      return 0;
    } catch (BadObjectException refusal) {
      return 1;
    }
  }

  /** Expressions are there to be compared, though readelf only says that they are. */
  @Test
  void readsTheExpressionsOfThePltAndOfSignalFrames() throws Exception {
    CallFrames frames = CallFrames.of(ElfImage.read(TestObjects.libc()));
    List<FrameRow> rows =
        frames.ranges().stream().flatMap(r -> frames.rowsAround(r.start()).stream()).toList();
    assertThat(rows)
        .anySatisfy(
            row -> {
              assertThat(row.isSignalFrame()).isTrue();
              // DW_OP_breg7 (rsp) 160, deref: the stack pointer in the saved context
              assertThat(row.cfa().toString()).isEqualTo("CfaExpression[expression=77 a0 01 06]");
            })
        .anySatisfy(
            row -> {
              assertThat(row.cfa()).isInstanceOf(CfaExpression.class);
              assertThat(row.cfa().toString())
                  .isEqualTo("CfaExpression[expression=77 08 80 00 3f 1a 3b 2a 33 24 22]");
            });
  }
}
