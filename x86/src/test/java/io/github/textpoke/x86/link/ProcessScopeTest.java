package io.github.textpoke.x86.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.elf.LocalName;
import io.github.textpoke.elf.SymbolScope;
import io.github.textpoke.elf.SymbolScope.Address;
import io.github.textpoke.elf.SymbolScope.Definition;
import io.github.textpoke.elf.SymbolScope.ThreadLocal;
import io.github.textpoke.x86.flow.Compiled;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Looks symbols up in programs that print their own view of them. */
final class ProcessScopeTest {
  @TempDir Path directory;

  private static Address local(SymbolScope scope, String name) {
    return (Address) scope.findLocal(LocalName.parse(name).orElseThrow());
  }

  private Path library(String name, String source, String... flags) throws Exception {
    Files.writeString(directory.resolve(name + ".c"), source);
    List<String> command = new ArrayList<>(List.of("gcc", "-shared", "-fPIC"));
    command.addAll(List.of(flags));
    command.addAll(List.of("-o", name, name + ".c"));
    Compiled.output(directory, command);
    return directory.resolve(name);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-pie", "-no-pie"})
  void findsStaticFunctionsAndDataByObjectNameAndPosition(String kind) throws Exception {
    try (Dlopened process = Dlopened.start(Dlopened.target(directory, kind))) {
      SymbolScope scope = process.scope();
      assertThat(local(scope, "textpoke$$helper$1").address()).isEqualTo(process.word("helper"));
      assertThat(local(scope, "textpoke$target$state$1").address())
          .isEqualTo(process.word("state"));
      assertThat(local(scope, "textpoke$target$helper$2").address())
          .isNotEqualTo(process.word("helper"));
      // What is there once needs no position.
      assertThat(local(scope, "textpoke$$hidden_global$0"))
          .isEqualTo(local(scope, "textpoke$$hidden_global$1"));
      assertThatExceptionOfType(AmbiguousSymbolException.class)
          .isThrownBy(() -> local(scope, "textpoke$$state$0"))
          .withMessageContaining("2 match")
          .withMessageContaining("textpoke$$state$1 (data of 4 bytes")
          .withMessageContaining("textpoke$$state$2 (data of 4 bytes");
      assertThatExceptionOfType(NoSuchSymbolException.class)
          .isThrownBy(() -> local(scope, "textpoke$$state$3"))
          .withMessageContaining("there are only 2 of that name");
      assertThatExceptionOfType(NoSuchSymbolException.class)
          .isThrownBy(() -> local(scope, "textpoke$libabsent$state$0"))
          .withMessageContaining("no object of that name is loaded");
    }
  }

  @Test
  void findsObjectsWhoseNamesNoAssemblerTakes() throws Exception {
    Path odd = library("odd-name+x.so", "static int odd = 5; int *odd_pointer = &odd;");
    try (Dlopened process = Dlopened.start(Dlopened.target(directory), odd)) {
      Address pointer = local(process.scope(), "textpoke$odd_name_x.so$odd_pointer$0");
      byte[] word = process.read(pointer.address(), 8).toByteArray();
      assertThat(local(process.scope(), "textpoke$odd_name_x.so$odd$0").address())
          .isEqualTo(ByteBuffer.wrap(word).order(ByteOrder.LITTLE_ENDIAN).getLong());
    }
  }

  @Test
  void takesTheFirstDefinitionInTheOrderInWhichObjectsWereLoaded() throws Exception {
    Path first = library("first.so", "int twice_there = 1; int target_counter = 9;");
    Path second = library("second.so", "int twice_there = 2; int only_second = 3;");
    // Not by address: the second one is loaded first.
    try (Dlopened process = Dlopened.start(Dlopened.target(directory), second, first)) {
      SymbolScope scope = process.scope();
      assertThat(object(scope, "twice_there")).isEqualTo("second.so");
      assertThat(object(scope, "target_counter")).isEqualTo("target");
      assertThat(object(scope, "only_second")).isEqualTo("second.so");
      assertThat(scope.searched()).startsWith("target").endsWith("second.so", "first.so");
      assertThat(scope.searched()).doesNotContain("[vdso]").contains("libc.so.6");
    }
    try (Dlopened process = Dlopened.start(Dlopened.target(directory), first, second)) {
      assertThat(object(process.scope(), "twice_there")).isEqualTo("first.so");
    }
  }

  private static String object(SymbolScope scope, String name) {
    return scope.find(name, "").orElseThrow().object();
  }

  @Test
  void findsWhatTheExecutableDoesNotExportUnlessItIsStatic() throws Exception {
    try (Dlopened process = Dlopened.start(Dlopened.target(directory))) {
      SymbolScope scope = process.scope();
      assertThat(scope.find("helper", "")).isEmpty();
      assertThat(scope.find("nobody_has_this", "")).isEmpty();
    }
    Path plain = Dlopened.target(directory, "-Wl,--no-export-dynamic");
    try (Dlopened process = Dlopened.start(plain)) {
      SymbolScope scope = process.scope();
      assertThat(scope.find("target_add", "")).hasValue(local(scope, "textpoke$$target_add$0"));
      assertThat(scope.find("target_add", "VERSION_1")).isEmpty();
    }
  }

  @Test
  void takesTheVersionThatIsAskedForAndElseTheDefaultOne() throws Exception {
    Files.writeString(directory.resolve("map"), "V1 { global: pick; }; V2 { global: pick; } V1;");
    Path versioned =
        library(
            "versioned.so",
            """
            int pick_old(void) { return 1; }
            int pick_new(void) { return 2; }
            __asm__(".symver pick_old, pick@V1");
            __asm__(".symver pick_new, pick@@V2");
            """,
            "-Wl,--version-script=map");
    try (Dlopened process = Dlopened.start(Dlopened.target(directory), versioned)) {
      SymbolScope scope = process.scope();
      Definition one = scope.find("pick", "V1").orElseThrow();
      Definition two = scope.find("pick", "V2").orElseThrow();
      assertThat(one).isEqualTo(local(scope, "textpoke$versioned.so$pick_old$0"));
      assertThat(two).isEqualTo(local(scope, "textpoke$versioned.so$pick_new$0"));
      assertThat(scope.find("pick", "")).hasValue(two);
      assertThat(scope.find("pick", "V3")).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"-pie", "-no-pie"})
  void knowsWhereEachThreadKeepsTheVariablesOfTheExecutable(String kind) throws Exception {
    Path library = library("tls.so", "__thread int library_variable = 1;");
    try (Dlopened process = Dlopened.start(Dlopened.target(directory, kind), library)) {
      SymbolScope scope = process.scope();
      assertThat(scope.find("target_errno", ""))
          .hasValue(new ThreadLocal("target", OptionalLong.of(process.word("errno"))));
      assertThat(scope.find("target_other", ""))
          .hasValue(new ThreadLocal("target", OptionalLong.of(process.word("other"))));
      assertThat(scope.find("library_variable", ""))
          .hasValue(new ThreadLocal("tls.so", OptionalLong.empty()));
    }
  }

  @Test
  void findsSymbolsOfAProgramWithoutALoader() throws Exception {
    Files.writeString(
        directory.resolve("alone.c"),
        """
        #include <stdio.h>
        static int hidden = 1;
        int seen = 2;
        int main(void) {
          printf("base=0x0 hidden=%p seen=%p puts=%p\\n", (void *) &hidden, (void *) &seen,
                 (void *) puts);
          fflush(stdout);
          return getchar() + hidden + seen;
        }
        """);
    Compiled.output(directory, List.of("gcc", "-static", "-o", "alone", "alone.c"));
    try (Dlopened process = Dlopened.start(directory.resolve("alone"))) {
      SymbolScope scope = process.scope();
      assertThat(scope.searched()).containsExactly("alone");
      assertThat(((Address) scope.find("seen", "").orElseThrow()).address())
          .isEqualTo(process.word("seen"));
      assertThat(((Address) scope.find("puts", "GLIBC_2.2.5").orElseThrow()).address())
          .isEqualTo(process.word("puts"));
      assertThat(local(scope, "textpoke$$hidden$0").address()).isEqualTo(process.word("hidden"));
    }
  }
}
