package io.github.textpoke.x86.flow;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.x86.decode.TableDecoder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What gcc puts into a table of jumps is known from its assembly, with the labels kept. */
final class JumpTablesTest {
  private static final String SWITCHES =
      """
      extern int g(int) __attribute__((visibility("hidden")));
      __attribute__((noinline)) int g(int x) { __asm__ volatile ("" : "+r"(x)); return x; }
      int plain(int x, int y) {
        switch (x) {
          case 0: return g(1);
          case 1: return g(y);
          case 2: return y * 3;
          case 3: __builtin_trap();
          case 4: return g(7) + 1;
          case 5: return y - 9;
          case 6: return g(y + 2);
          case 9: return g(11);
        }
        return 0;
      }
      int loop(int x, int n) {
        int s = 0;
        for (int i = 0; i < n; i++) {
          switch ((x >> i) & 7) {
            case 0: s += g(1); break;
            case 1: s -= g(i); break;
            case 2: s *= 3; break;
            case 3: s ^= 5; break;
            case 4: s += g(s); break;
            case 5: s |= 64; break;
            case 6: s -= 9; break;
            case 7: s += g(2);
          }
        }
        return s;
      }
      int letters(unsigned char c) {
        switch (c) {
          case 'a': return g(1);
          case 'b': return g(5);
          case 'c': return g(3);
          case 'd': return g(77);
          case 'e': return 9;
          case 'f': return g(1) + 5;
        }
        return g(9);
      }
      long wide(long x, long y) {
        switch (x) {
          case 10: return g(1);
          case 11: return g(5) * y;
          case 12: return g(3);
          case 13: return y + 77;
          case 14: return g(y);
          case 15: return y / 5;
        }
        return y;
      }
      """;

  private static final String COMPUTED =
      """
      int next(int i, int y) {
        static const void *const table[] = {&&a, &&b, &&c, &&d};
        goto *table[i];
      a: return y + 1;
      b: return y * 5;
      c: return y - 7;
      d: return y ^ 2;
      }
      """;

  private static final Pattern ENTRY =
      Pattern.compile("\\s\\.(?:long|quad)\\s+(\\.L\\d+)(?:-\\.L\\d+)?\\n");

  @TempDir Path directory;

  static Stream<String> flags() {
    List<String> all = new ArrayList<>();
    for (String level : List.of("-O0", "-O1", "-O2", "-O3", "-Os")) {
      for (String kind :
          List.of(
              "-fPIC -shared",
              "-fPIE -pie -fcf-protection=full",
              "-fno-pic -no-pie",
              "-fno-pic -no-pie -fcf-protection=full",
              "-fPIC -shared -mtune=atom -fno-reorder-blocks")) {
        all.add(level + " " + kind);
      }
    }
    return all.stream();
  }

  /** All targets of the tables of an object. */
  private static Set<Long> targets(Compiled object, List<String> functions, List<String> refused) {
    JumpTables tables = new JumpTables(object.image(), LoadedBytes.of(object.image()));
    Set<Long> targets = new TreeSet<>();
    for (String name : functions) {
      FunctionCode function = new FunctionCode(new TableDecoder(), object.function(name, 0));
      for (int i = 0; i < function.count(); i++) {
        if (Decoded.flow(function.decoded(i)) == Flow.INDIRECT_JUMP) {
          Optional<String> reason = tables.resolve(function, i, targets::add);
          reason.ifPresent(refused::add);
        }
      }
    }
    return targets;
  }

  @ParameterizedTest
  @MethodSource("flags")
  void findsExactlyTheLabelsThatGccPutsIntoItsTables(String flags) throws Exception {
    Compiled object = Compiled.of(directory, "switches.c", SWITCHES, flags + " -Wa,--keep-locals");
    Set<Long> expected = new TreeSet<>();
    Matcher entries = ENTRY.matcher(object.assembly());
    while (entries.find()) {
      expected.add(object.address(entries.group(1)));
    }
    List<String> refused = new ArrayList<>();
    Set<Long> found = targets(object, List.of("plain", "loop", "letters", "wide"), refused);
    assertThat(refused).isEmpty();
    assertThat(expected).hasSizeGreaterThan(20);
    assertThat(found).isEqualTo(expected);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-O0", "-O1", "-O2", "-O3", "-Os"})
  void takesNoComputedGotoForATable(String level) throws Exception {
    Compiled object = Compiled.of(directory, "computed.c", COMPUTED, level + " -fPIC -shared");
    List<String> refused = new ArrayList<>();
    assertThat(targets(object, List.of("next"), refused)).isEmpty();
    assertThat(refused).isNotEmpty();
  }

  @Test
  void readsAComputedGotoThatCantBeToldFromASwitchByItsReadOnlyTable() throws Exception {
    Compiled object = Compiled.of(directory, "computed.c", COMPUTED, "-O2 -fno-pic -no-pie");
    List<String> refused = new ArrayList<>();
    assertThat(targets(object, List.of("next"), refused)).hasSize(4);
    assertThat(refused).isEmpty();
  }

  @Test
  void refusesATableThatTheProgramCanWriteTo() throws Exception {
    Compiled object =
        Compiled.of(
            directory,
            "computed.c",
            COMPUTED
                .replace("const void *const", "void *")
                .replace("goto", "__asm__ volatile (\"\" :: \"r\"(table) : \"memory\"); goto"),
            "-O0 -fno-pic -no-pie");
    List<String> refused = new ArrayList<>();
    assertThat(targets(object, List.of("next"), refused)).isEmpty();
    assertThat(refused).singleElement().asString().contains("read-only");
  }

  @Test
  void refusesACallAtATailAndATableWhoseAddressCameFromElsewhere() throws Exception {
    Compiled object =
        Compiled.of(
            directory,
            "tails.s",
            """
            .text
            .globl tail, given
            .type tail, @function
            tail: jmp *8(%rdi)
            .size tail, .-tail
            .type given, @function
            given: movslq (%rdi,%rsi,4), %rax
              add %rdi, %rax
              jmp *%rax
            .size given, .-given
            """,
            "-shared");
    List<String> refused = new ArrayList<>();
    assertThat(targets(object, List.of("tail", "given"), refused)).isEmpty();
    assertThat(refused).hasSize(2);
  }

  @Test
  void forgetsABoundWhenTheIndexIsWrittenBehindTheComparison() throws Exception {
    String code =
        """
        .text
        .globl f
        .type f, @function
        f: cmp $1, %edi
          ja 9f
          BETWEEN
          lea table(%rip), %rdx
          movslq (%rdx,%rdi,4), %rax
          add %rdx, %rax
          jmp *%rax
        1: nop
        2: nop
        3: nop
        9: ret
        .size f, .-f
        .section .rodata
        table: .long 1b-table, 2b-table, 3b-table, 0x7fffffff
        """;
    Compiled bounded =
        Compiled.of(directory, "bounded.s", code.replace("BETWEEN", "nop"), "-shared");
    assertThat(targets(bounded, List.of("f"), new ArrayList<>())).hasSize(2);
    Compiled changed =
        Compiled.of(directory, "changed.s", code.replace("BETWEEN", "add $1, %edi"), "-shared");
    assertThat(targets(changed, List.of("f"), new ArrayList<>())).hasSize(3);
    Compiled shifted =
        Compiled.of(directory, "shifted.s", code.replace("BETWEEN", "shl $1, %edi"), "-shared");
    assertThat(targets(shifted, List.of("f"), new ArrayList<>())).hasSize(3);
  }
}
