package io.github.textpoke.elf;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.elf.Symbol.Binding;
import io.github.textpoke.elf.Symbol.Kind;
import io.github.textpoke.elf.Symbol.Table;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import net.fornwall.jelf.ElfFile;
import net.fornwall.jelf.ElfSymbol;
import net.fornwall.jelf.ElfSymbolTableSection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class SymbolsTest {
  @TempDir Path directory;

  static List<Path> objects() throws IOException {
    return List.of(TestObjects.libc(), TestObjects.libjvm(), TestObjects.strippedProgram());
  }

  private record Function(String name, long address, long size, boolean ifunc) {}

  private static void addFunctions(ElfSymbolTableSection table, Set<Function> functions) {
    if (table == null) {
      return;
    }
    for (ElfSymbol symbol : table.symbols) {
      int type = symbol.st_info & 15;
      if ((type == ElfSymbol.STT_FUNC || type == 10) && symbol.st_shndx != 0) {
        functions.add(new Function(symbol.getName(), symbol.st_value, symbol.st_size, type == 10));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("objects")
  void findsExactlyTheFunctionsThatAnotherReaderFinds(Path file) throws IOException {
    Set<Function> expected = new HashSet<>();
    addFunctions(ElfFile.from(file).getSymbolTableSection(), expected);
    addFunctions(ElfFile.from(file).getDynamicSymbolTableSection(), expected);
    Set<Function> found =
        Symbols.of(ElfImage.read(file)).all().stream()
            .filter(symbol -> symbol.kind() == Kind.FUNCTION || symbol.kind() == Kind.IFUNC)
            .map(s -> new Function(s.name(), s.address(), s.size(), s.kind() == Kind.IFUNC))
            .collect(Collectors.toSet());
    assertThat(found).isEqualTo(expected);
  }

  @Test
  void findsEverySymbolByItsNameAndByEachOfItsBytes() throws IOException {
    Symbols symbols = Symbols.of(ElfImage.read(TestObjects.libc()));
    List<Symbol> some =
        symbols.all().stream()
            .filter(symbol -> symbol.kind() == Kind.FUNCTION && symbol.size() > 0)
            .filter(symbol -> symbol.address() % 7 == 0)
            .toList();
    assertThat(some).hasSizeGreaterThan(50);
    for (Symbol symbol : some) {
      assertThat(symbols.named(symbol.name())).contains(symbol);
      assertThat(symbols.functionsAt(symbol.address())).contains(symbol);
      assertThat(symbols.functionsAt(symbol.address() + symbol.size() - 1)).contains(symbol);
      assertThat(symbols.functionsAt(symbol.address() + symbol.size())).doesNotContain(symbol);
      assertThat(symbols.codeStartingIn(symbol.address(), symbol.address() + 1)).contains(symbol);
    }
  }

  @Test
  void findsNothingUnderAPartOfAName() throws IOException {
    Symbols symbols = Symbols.of(ElfImage.read(TestObjects.libc()));
    assertThat(symbols.named("getpid")).hasSize(1);
    assertThat(symbols.named("getpi")).isEmpty();
    assertThat(symbols.named("getpidx")).isEmpty();
    assertThat(symbols.named("")).isEmpty();
  }

  @Test
  void knowsIfuncs() throws IOException {
    assertThat(Symbols.of(ElfImage.read(TestObjects.libc())).named("strlen"))
        .extracting(Symbol::kind)
        .containsExactly(Kind.IFUNC);
  }

  @Test
  void tellsVersionsOfANameApart() throws Exception {
    Symbols symbols = Symbols.of(ElfImage.read(TestObjects.small(directory)));
    assertThat(symbols.named("small"))
        .extracting(Symbol::versionedName)
        .containsExactlyInAnyOrder("small@SMALL_1", "small@@SMALL_2");
    assertThat(symbols.named("small@SMALL_1"))
        .extracting(Symbol::isDefaultVersion)
        .containsExactly(false);
    assertThat(symbols.named("small@@SMALL_2"))
        .extracting(Symbol::isDefaultVersion)
        .containsExactly(true);
    assertThat(symbols.named("small@SMALL_3")).isEmpty();
  }

  @Test
  void tellsVersionsApartInAStrippedObjectToo() throws Exception {
    Path file = TestObjects.small(directory);
    List<Symbol> whole = Symbols.of(ElfImage.read(file)).named("small");
    TestObjects.run(directory, "strip", "-s", file.toString());
    List<Symbol> stripped = Symbols.of(ElfImage.read(file)).named("small");
    assertThat(stripped)
        .extracting(Symbol::versionedName, Symbol::address)
        .containsExactlyInAnyOrderElementsOf(
            whole.stream()
                .map(s -> org.assertj.core.groups.Tuple.tuple(s.versionedName(), s.address()))
                .toList());
    assertThat(stripped).extracting(Symbol::table).containsOnly(Table.DYNSYM);
  }

  @Test
  void countsASymbolOfBothTablesOnceAndKeepsItsVersion() throws Exception {
    Symbols symbols = Symbols.of(ElfImage.read(TestObjects.small(directory)));
    assertThat(symbols.named("small_add"))
        .singleElement()
        .satisfies(
            symbol -> {
              assertThat(symbol.table()).isEqualTo(Table.SYMTAB);
              assertThat(symbol.version()).isEqualTo("SMALL_2");
            });
  }

  @Test
  void numbersLocalFunctionsOfOneNameInTheOrderOfTheTable() throws Exception {
    TestObjects.source(directory, "a.c", "static int f(void) { return 1; } int (*fa)(void) = f;");
    TestObjects.source(directory, "b.c", "static int f(void) { return 2; } int (*fb)(void) = f;");
    TestObjects.run(directory, "gcc", "-shared", "-fPIC", "-nostdlib", "-o", "l.so", "a.c", "b.c");
    List<Symbol> found = Symbols.of(ElfImage.read(directory.resolve("l.so"))).named("f");
    assertThat(found).hasSize(2).extracting(Symbol::binding).containsOnly(Binding.LOCAL);
    String[] rows = TestObjects.run(directory, "readelf", "-sW", "l.so").split("\n");
    List<Long> expected =
        java.util.Arrays.stream(rows)
            .filter(row -> row.endsWith(" f"))
            .map(row -> Long.parseUnsignedLong(row.trim().split("\\s+")[1], 16))
            .toList();
    assertThat(found).extracting(Symbol::address).isEqualTo(expected);
  }

  @Test
  void matchesGlobs() throws Exception {
    Symbols symbols = Symbols.of(ElfImage.read(TestObjects.small(directory)));
    assertThat(symbols.matching("sm?ll_*"))
        .extracting(Symbol::name)
        .containsExactlyInAnyOrder("small_add", "small_old", "small_new");
    assertThat(symbols.matching("tw[i]ce")).isEmpty();
    assertThat(symbols.matching("twice")).hasSize(1);
  }

  @Test
  void takesLocalSymbolsFromADebugFile() throws Exception {
    Path file = TestObjects.small(directory);
    List<Symbol> whole = Symbols.of(ElfImage.read(file)).all();
    TestObjects.run(directory, "objcopy", "--only-keep-debug", file.toString(), "small.debug");
    TestObjects.run(directory, "strip", "-s", file.toString());
    ElfImage stripped = ElfImage.read(file);
    assertThat(stripped.hasSymbolTable()).isFalse();
    assertThat(Symbols.of(stripped).named("twice")).isEmpty();
    ElfImage debug = ElfImage.read(directory.resolve("small.debug"));
    assertThat(debug.hasSymbolTable()).isTrue();
    assertThat(Symbols.of(debug, stripped).all()).isEqualTo(whole);
  }
}
