package io.github.textpoke.x86.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.entry;

import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.plan.DetourSurvey.Finding;
import io.github.textpoke.x86.plan.DetourSurvey.Totals;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class DetourSurveyTest {
  private static final Path LIBRARIES = Path.of("/usr/lib/x86_64-linux-gnu");

  @TempDir Path directory;

  private Compiled assemble(String source) throws Exception {
    return Compiled.of(directory, "f.s", ".text\n" + source + "\n", "-shared");
  }

  private static String function(String name, String body) {
    return ".type %1$s, @function\n%1$s: .cfi_startproc\n%2$s\n.cfi_endproc\n.size %1$s, .-%1$s\n"
        .formatted(name, body);
  }

  private static DetourSurvey survey(ElfImage image) {
    return new DetourSurvey(image, Symbols.of(image), X86Planner.with(new TableDecoder()));
  }

  /** What is found of {@code f}. */
  private static Optional<DetourReason> obstacle(Compiled object) {
    long f = object.address("f");
    List<Finding> found =
        survey(object.image())
            .findings()
            .filter(finding -> finding.function().start() == f)
            .toList();
    assertThat(found).hasSize(1);
    return found.get(0).obstacle();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "push %rbx; mov %edi, %ebx; mov %ebx, %eax; pop %rbx; ret",
        "endbr64; mov $1, %eax; ret",
        "mov $1, %eax",
        ".byte 0xe9; .long g-.-4",
        "xor %eax, %eax; xor %edx, %edx; jmp g",
        "0: dec %edi; nop; nop; jnz 0b; ret",
        "mov (%rdi), %rax; nop; nop; jmp *8(%rax)",
      })
  void findsWhatCanBeDetoured(String body) throws Exception {
    Compiled object = assemble(function("f", body) + function("g", "ret"));
    assertThat(obstacle(object)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ret | 9 | shorter than the jump",
        "xor %eax, %eax; nop; ret | 9 | shorter than the jump",
        "endbr64; xor %eax, %eax; ret | 9 | fewer than 5 bytes of code to displace",
        "xor %eax, %eax; ret; nop; nop | 9 | fewer than 5 bytes of code to displace",
        "nop; 0: nop; nop; nop; nop; dec %edi; jnz 0b; ret"
            + " | 7 | a branch of the function leads there",
        "xor %eax, %eax; xor %edx, %edx; nop; jmp *%rdi"
            + " | 7 | an indirect jump of the function may lead there",
        "nop; 0: nop; nop; nop; nop; lea 0b(%rip), %rax; ret"
            + " | 7 | an address, a symbol or unwind information names a place there",
        "nop; inside: nop; nop; nop; nop; ret"
            + " | 7 | an address, a symbol or unwind information names a place there",
        "nop; nop; nop; nop; nop; ret; .byte 0x06 | 7 | not all of the function can be read",
        "nop; .Lin: nop; nop; nop; nop; ret | 7 | other code of the object leads there, or may",
        "nop; nop; mov (%edi), %eax; ret | 8 | an instruction at the entry may not run elsewhere",
        "xor %eax, %eax; syscall; nop; ret | 15 | a system call, a fault, or the like at the entry",
        "nop; nop; endbr64; ret | 14 | an endbr64 would be displaced",
        "int3; nop; nop; nop; nop; ret | 19 | a breakpoint at the entry",
        ".byte 0x06; nop; nop; nop; nop; ret"
            + " | 1 | what stands at the entry can't be read, or is entered in the middle",
      })
  void saysWhyAFunctionCanNotBeDetoured(String body, int rule, String words) throws Exception {
    String other = body.contains(".Lin:") ? "jmp .Lin" : "ret";
    Compiled object = assemble(function("f", body) + function("g", other));
    assertThat(obstacle(object)).hasValue(new DetourReason(rule, words));
  }

  @Test
  void countsAliasesOnceAndFunctionsWithoutSymbolsToo() throws Exception {
    String endless = "0: nop; nop; nop; nop; nop; jmp 0b";
    Compiled object =
        assemble(
            function("f", endless)
                + ".set alias, f\n"
                + (".cfi_startproc\n" + endless + "\n.cfi_endproc\n")
                + function("tiny", "ret")
                + function("loop1", "nop; 0: nop; nop; nop; nop; jmp 0b")
                + function("loop2", "nop; nop; 0: nop; nop; nop; jmp 0b")
                + function("sys", "xor %eax, %eax; syscall; ret"));
    Totals totals = Totals.of(survey(object.image()).findings());

    assertThat(totals.functions()).isEqualTo(6);
    assertThat(totals.tooShort()).isEqualTo(1);
    assertThat(totals.longEnough()).isEqualTo(5);
    assertThat(totals.detoured()).isEqualTo(2);
    assertThat(totals.share()).isEqualTo(0.4);
    assertThat(totals.obstacles())
        .containsExactly(
            entry(new DetourReason(7, "a branch of the function leads there"), 2L),
            entry(new DetourReason(15, "a system call, a fault, or the like at the entry"), 1L));
  }

  @Test
  void anObjectWithoutFunctionsLacksNone() {
    assertThat(Totals.of(Stream.empty()).share()).isEqualTo(1);
  }

  @Test
  void anExecutableForAFixedAddressIsSurveyedWhereItStands() throws Exception {
    Compiled object =
        Compiled.of(
            directory,
            "f.s",
            ".text\n" + function("f", "call g; ret") + function("g", "ret"),
            "-no-pie -static");
    assertThat(object.image().isFixed()).isTrue();
    assertThat(obstacle(object)).isEmpty();
  }

  @Test
  void aFileWhoseBytesChangeIsSurveyedOrRefused() throws Exception {
    Compiled object =
        assemble(
            function("f", "endbr64; push %rbx; lea t(%rip), %rbx; jmp *8(%rbx)")
                + function("g", "xor %eax, %eax; call f; ret")
                + ".section .rodata\nt: .long f-t, g-t\n"
                + ".section .data.rel.ro, \"aw\"\n.quad f, g");
    assertThat(Totals.of(survey(object.image()).findings()).functions()).isEqualTo(2);
    byte[] good = Files.readAllBytes(directory.resolve("object"));
    SplittableRandom random = new SplittableRandom(20261128);
    int surveyed = 0;
    int refused = 0;
    for (int round = 0; round < 3_000; round++) {
      byte[] bytes = good.clone();
      int headers = random.nextBoolean() ? 64 + 56 * 8 : bytes.length;
      bytes[random.nextInt(4, headers)] = (byte) random.nextInt();
      try {
        ElfImage image = ElfImage.parse("hostile", ByteBuffer.wrap(bytes));
        surveyed += Totals.of(survey(image).findings()).functions() >= 0 ? 1 : 0;
      } catch (BadObjectException bad) {
        refused++;
      }
    }
    assertThat(surveyed).isPositive();
    assertThat(refused).isPositive();
  }

  static List<Path> libraries() throws Exception {
    List<Path> found = new ArrayList<>(List.of(Compiled.libc(), Compiled.libjvm()));
    for (String name : List.of("libstdc++.so.6", "libcrypto.so.3")) {
      if (Files.exists(LIBRARIES.resolve(name))) {
        found.add(LIBRARIES.resolve(name));
      }
    }
    return found;
  }

  @ParameterizedTest
  @MethodSource("libraries")
  void nineOfTenFunctionsOfLargeLibrariesCanBeDetoured(Path library) {
    Totals totals = Totals.of(survey(ElfImage.read(library)).findings());

    assertThat(totals.functions()).isGreaterThan(1_000);
    assertThat(totals.share()).as("%s", totals).isBetween(0.9, 1.0);
    long refused = totals.obstacles().values().stream().mapToLong(Long::longValue).sum();
    assertThat(totals.detoured() + refused + totals.tooShort()).isEqualTo(totals.functions());
  }
}
