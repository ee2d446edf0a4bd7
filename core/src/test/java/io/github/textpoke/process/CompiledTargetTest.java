package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.github.textpoke.PatchException.AmbiguousSymbolException;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.TestObjects;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Resolves in programs whose own view of their addresses is known: they print it. */
final class CompiledTargetTest {
  private static final String MAIN =
      """
      #include <stdio.h>
      int (*other(void))(void);
      static __attribute__((noinline)) int same(void) { return 1; }
      static int one(void) { return 1; }
      static int __chosen_fast(void) { return 2; }
      static void *resolve_chosen(void) { return (void *) __chosen_fast; }
      int chosen(void) __attribute__((ifunc("resolve_chosen")));
      static int __unused_fast(void) { return 3; }
      static void *resolve_unused(void) { return (void *) __unused_fast; }
      int unused(void) __attribute__((ifunc("resolve_unused")));
      __attribute__((noinline, aligned(64))) int lonely(void) { return 7; }
      __asm__(".text\\n.globl label\\nlabel: nop\\nret\\n");
      int (*volatile pointers[])(void) = {same, one, __chosen_fast};
      int main(void) {
        printf("same=%p other=%p lonely=%p fast=%p\\n", (void *) pointers[0], (void *) other(),
               (void *) lonely, (void *) pointers[2]);
        fflush(stdout);
        return getchar() + chosen() > 300;
      }
      """;
  private static final String OTHER =
      """
      static __attribute__((noinline)) int same(void) { return 2; }
      int (*other(void))(void) { return same; }
      """;

  @TempDir Path directory;

  private final List<Process> started = new ArrayList<>();
  private final List<ProcMemReader> opened = new ArrayList<>();

  /** A started program, with the addresses that it printed. */
  private record Target(SiteResolver resolver, Map<String, Long> addresses) {
    ResolvedSite resolve(String name) {
      return resolver.resolve(SiteName.parse(name));
    }
  }

  @BeforeEach
  void compile() throws Exception {
    TestObjects.source(directory, "main.c", MAIN);
    TestObjects.source(directory, "other.c", OTHER);
  }

  @AfterEach
  void end() throws Exception {
    opened.forEach(ProcMemReader::close);
    for (Process process : started) {
      process.destroyForcibly().waitFor();
    }
  }

  private Path build(String... options) throws Exception {
    List<String> command = new ArrayList<>(List.of("gcc", "-O1", "-o", "target"));
    command.addAll(List.of(options));
    command.addAll(List.of("-Wl,--build-id=sha1", "main.c", "other.c"));
    TestObjects.run(directory, command.toArray(String[]::new));
    return directory.resolve("target");
  }

  private Process start(Path program) throws IOException {
    Process process = new ProcessBuilder(program.toString()).start();
    started.add(process);
    return process;
  }

  private Target ready(Process process) throws IOException {
    BufferedReader output =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.US_ASCII));
    Map<String, Long> addresses = new TreeMap<>();
    for (String word : output.readLine().split(" ")) {
      String[] parts = word.split("=0x");
      addresses.put(parts[0], Long.parseUnsignedLong(parts[1], 16));
    }
    int pid = (int) process.pid();
    ProcMemReader memory = new ProcMemReader(pid);
    opened.add(memory);
    return new Target(
        new SiteResolver(pid, MemoryMap.read(pid), memory, directory.resolve("debug")), addresses);
  }

  private void checkFindsBothOfOneName(Target target) {
    AmbiguousSymbolException ambiguous =
        catchThrowableOfType(AmbiguousSymbolException.class, () -> target.resolve("target:same"));
    assertThat(ambiguous.candidates()).containsExactly("target:same#1", "target:same#2");
    assertThat(target.resolve("target:same#1").address()).isEqualTo(target.addresses().get("same"));
    assertThat(target.resolve("target:same#2").address())
        .isEqualTo(target.addresses().get("other"));
    assertThat(target.resolve("lonely").address()).isEqualTo(target.addresses().get("lonely"));
  }

  @Test
  void findsStaticFunctionsOfOneNameByTheirPositionInAMovableProgram() throws Exception {
    checkFindsBothOfOneName(ready(start(build("-pie", "-fPIE"))));
  }

  @Test
  void findsStaticFunctionsOfOneNameByTheirPositionInAFixedProgram() throws Exception {
    checkFindsBothOfOneName(ready(start(build("-no-pie", "-fno-pie"))));
  }

  @Test
  void findsStaticFunctionsOfAStrippedProgramInItsDebugFile() throws Exception {
    Path program = build();
    String id = ElfImage.read(program).buildId().orElseThrow();
    Path debug =
        directory.resolve(
            "debug/.build-id/" + id.substring(0, 2) + "/" + id.substring(2) + ".debug");
    Files.createDirectories(debug.getParent());
    TestObjects.run(
        directory, "objcopy", "--only-keep-debug", program.toString(), debug.toString());
    TestObjects.run(directory, "strip", "-s", program.toString());
    checkFindsBothOfOneName(ready(start(program)));
  }

  @Test
  void refusesADebugFileOfAnotherObject() throws Exception {
    Path program = build();
    String id = ElfImage.read(program).buildId().orElseThrow();
    Path debug =
        directory.resolve(
            "debug/.build-id/" + id.substring(0, 2) + "/" + id.substring(2) + ".debug");
    Files.createDirectories(debug.getParent());
    Files.copy(TestObjects.libjvm(), debug);
    TestObjects.run(directory, "strip", "-s", program.toString());
    Target target = ready(start(program));
    assertThatThrownBy(() -> target.resolve("target:same"))
        .isInstanceOf(BadObjectException.class)
        .hasMessageContaining("expected " + id);
  }

  @Test
  void findsFunctionsOfAStrippedProgramByAddressAlone() throws Exception {
    Path program = build();
    TestObjects.run(directory, "strip", "-s", program.toString());
    Target target = ready(start(program));
    assertThatThrownBy(() -> target.resolve("target:same"))
        .isInstanceOf(NoSuchSymbolException.class)
        .hasMessageContaining("install the debug symbols of target");
    long lonely = target.addresses().get("lonely");
    ResolvedSite site = target.resolve("0x" + Long.toHexString(lonely + 2));
    assertThat(site.code().address()).isEqualTo(lonely);
    // mov eax, 7; ret, perhaps behind endbr64
    assertThat(site.code().bytes().hex()).endsWith("b8 07 00 00 00 c3");
    assertThat(target.resolver().describe(lonely + 2))
        .hasValueSatisfying(text -> assertThat(text).startsWith("target:0x").endsWith("+0x2"));
  }

  @Test
  void findsFunctionsOfAProgramWhoseFileWasDeleted() throws Exception {
    Path program = build();
    Process process = start(program);
    Target target = ready(process);
    Files.delete(program);
    checkFindsBothOfOneName(again(process, target));
  }

  /** The same target with its memory map read again. */
  private Target again(Process process, Target target) {
    int pid = (int) process.pid();
    return new Target(
        new SiteResolver(pid, MemoryMap.read(pid), opened.get(0), directory.resolve("debug")),
        target.addresses());
  }

  @Test
  void keepsToTheMappedFileWhenAnotherTookItsName() throws Exception {
    Path program = build();
    Process process = start(program);
    Target target = ready(process);
    TestObjects.source(directory, "empty.c", "int main(void) { return 0; }");
    TestObjects.run(directory, "gcc", "-o", "new", "empty.c");
    Files.move(directory.resolve("new"), program, StandardCopyOption.REPLACE_EXISTING);
    checkFindsBothOfOneName(again(process, target));
  }

  @Test
  void anIfuncThatTheObjectCallsStandsForItsImplementation() throws Exception {
    Target target = ready(start(build()));
    assertThat(target.resolve("target:chosen").address()).isEqualTo(target.addresses().get("fast"));
  }

  @Test
  void namesTheImplementationsOfAnIfuncOfWhichNobodyKeepsWhatWasChosen() throws Exception {
    Target target = ready(start(build()));
    PlanRefusedException refused =
        catchThrowableOfType(PlanRefusedException.class, () -> target.resolve("target:unused"));
    assertThat(refused.rule()).isEqualTo(20);
    assertThat(refused).hasMessageContaining("IFUNC").hasMessageContaining("target:__unused_fast");
    assertThat(target.resolve("target:__chosen_fast").address())
        .isEqualTo(target.addresses().get("fast"));
  }

  @Test
  void refusesALabelWithoutSizeOrUnwindInformation() throws Exception {
    Target target = ready(start(build()));
    assertThatThrownBy(() -> target.resolve("target:label"))
        .isInstanceOfSatisfying(
            PlanRefusedException.class,
            refused -> {
              assertThat(refused.rule()).isEqualTo(1);
              assertThat(refused).hasMessageContaining("label");
            });
  }
}
