package io.github.textpoke.x86.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.AddressLinks;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.LandingPads;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Relocations;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.flow.FunctionCode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.assertj.core.api.ObjectAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Most functions here hold five NOPs of one byte at {@code site}, with who enters around them. */
final class EntrancesTest {
  private static final long BIAS = 0x5555_0000_0000L;
  private static final int JUMP = 5;

  @TempDir Path directory;

  private Compiled object;

  /** Assembles {@code f}: {@code before}, then {@code site}, five NOPs, then {@code behind}. */
  private CodeRegion assemble(String before, String behind, String elsewhere) throws Exception {
    return assemble(
        before, "site: nop\nsite1: nop\nsite2: nop\nnop\nsite4: nop", behind, elsewhere);
  }

  private CodeRegion assemble(String before, String site, String behind, String elsewhere)
      throws Exception {
    String source =
        """
        .text
        .type f, @function
        f: .cfi_startproc
          push %%rbx
          %s
        %s
          %s
          pop %%rbx
          ret
          .cfi_endproc
        .size f, .-f
        %s
        """
            .formatted(before, site, behind, elsewhere);
    object = Compiled.of(directory, "f.s", source, "-shared");
    return object.function("f", BIAS);
  }

  /** Symbols but those that the test names places by. */
  private Entrances entrances() {
    return Entrances.of(object.image(), Symbols.NONE, BIAS);
  }

  private Entrances.Unentered check(CodeRegion function) {
    return check(function, object.address("site") + BIAS, JUMP);
  }

  private Entrances.Unentered check(CodeRegion function, long site, int length) {
    return entrances().check(new TableDecoder(), function, site, length);
  }

  private ObjectAssert<PlanRefusedException> assertRefused(CodeRegion function, int rule) {
    return assertThatThrownBy(() -> check(function))
        .asInstanceOf(InstanceOfAssertFactories.type(PlanRefusedException.class))
        .satisfies(
            refused -> {
              assertThat(refused.rule()).as(refused.getMessage()).isEqualTo(rule);
              assertThat(refused.remedy()).isNotEmpty();
            });
  }

  private void assertRefusedBecauseOf(CodeRegion function, String who, String reason) {
    assertRefused(function, 7)
        .satisfies(
            refused -> {
              assertThat(refused.reason()).contains(reason);
              assertThat(refused.address()).isEqualTo(object.address(who) + BIAS);
              assertThat(refused.disassembly()).isNotEmpty();
            });
  }

  @Test
  void provesThatNobodyEntersWhereNobodyDoes() throws Exception {
    CodeRegion f =
        assemble(
            "test %edi, %edi\n je site", "jmp site", "g: call f\n jmp f\n lea f(%rip), %rax\n ret");
    Entrances.Unentered proof = check(f);
    assertThat(proof.from()).isEqualTo(object.address("site") + BIAS);
    assertThat(proof.to()).isEqualTo(proof.from() + JUMP);
    assertThat(proof.instructions()).isEqualTo(11);
    assertThat(proof.outside()).isZero();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "who: jmp site1",
        "who: je site4",
        "who: call site2",
        "who: loop site1",
        "who: jrcxz site4",
        "who: xbegin site2",
        "who: .byte 0xe9; .long site1-.-4"
      })
  void namesTheBranchOfTheFunctionThatLeadsInside(String branch) throws Exception {
    assertRefusedBecauseOf(assemble(branch, "", ""), "who", "in the same function");
    assertRefusedBecauseOf(assemble("", branch, ""), "who", "in the same function");
  }

  @Test
  void takesABranchBehindTheLastByteForNone() throws Exception {
    assertThat(check(assemble("jmp behind", "behind: nop", "")).outside()).isZero();
  }

  @Test
  void seesThroughACallOfTheNextInstruction() throws Exception {
    CodeRegion toItself = assemble("", "site: call 1f\n1: pop %rax", "", "");
    assertThatThrownBy(() -> check(toItself, object.address("site") + BIAS, 6))
        .asInstanceOf(InstanceOfAssertFactories.type(PlanRefusedException.class))
        .satisfies(refused -> assertThat(refused.rule()).isIn(7, 8));
    // Five bytes are the call alone: it leads behind its last byte.
    assertThat(check(toItself).to()).isEqualTo(object.address("site") + JUMP + BIAS);
  }

  @Test
  void refusesACallThatWouldReturnInside() throws Exception {
    CodeRegion f = assemble("", "site: call *%rax\nnop\nnop\nnop", "", "");
    assertRefused(f, 8)
        .satisfies(
            refused -> assertThat(refused.address()).isEqualTo(object.address("site") + BIAS));
  }

  @Test
  void seesABranchIntoTheMiddleOfAnInstructionThatRunsOnInside() throws Exception {
    // 2 bytes before the site: an immediate that reads as a NOP and a prefix of the site's NOP.
    CodeRegion f =
        assemble(
            "who: jmp hidden+1\n hidden: mov $0x48, %al", "site: nop\nnop\nnop\nnop\nnop", "", "");
    assertRefusedBecauseOf(f, "who", "in the same function");
  }

  @Test
  void namesWhatTakesAnAddressInside() throws Exception {
    CodeRegion f = assemble("who: lea site2(%rip), %rax", "", "");
    assertRefusedBecauseOf(f, "who", "operand");
  }

  @ParameterizedTest
  @CsvSource({
    "who: jmp site1, from another function",
    "who: call site4, from another function",
    "who: lea site1(%rip); %rax, from another function",
    "nop; who: je site2, from another function",
  })
  void namesWhoLeadsInsideFromAnotherFunction(String other, String reason) throws Exception {
    String code = other.replace("(%rip);", "(%rip),").replace(";", "\n");
    CodeRegion f =
        assemble(
            "",
            "",
            ".type g, @function\n g: .cfi_startproc\n nop\n"
                + code
                + "\n ret\n .cfi_endproc\n .size g, .-g");
    assertRefusedBecauseOf(f, "who", reason);
  }

  @Test
  void namesTheSwitchOfAnotherPartOfTheFunctionThatLeadsInside() throws Exception {
    CodeRegion f =
        assemble(
            "",
            "",
            """
            .type hot, @function
            hot: .cfi_startproc
              cmp $1, %edi
              ja 8f
              lea table(%rip), %rdx
              movslq (%rdx,%rdi,4), %rax
              add %rdx, %rax
            who: jmp *%rax
            8: ret
              .cfi_endproc
            .size hot, .-hot
            .section .rodata
            table: .long 8b-table, site2-table
            """);
    assertRefusedBecauseOf(f, "who", "from another function");
  }

  @Test
  void refusesAPartOfAFunctionWhoseOtherPartJumpsNobodyKnowsWhere() throws Exception {
    CodeRegion f =
        assemble(
            "entered: nop",
            "",
            """
            .type hot, @function
            hot: .cfi_startproc
              je entered
            who: jmp *%rax
              .cfi_endproc
            .size hot, .-hot
            """);
    assertRefusedBecauseOf(f, "who", "jumps behind the start of f");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "who: jmp *%rax",
        "who: notrack jmp *%rax",
        "mov (%rdi), %eax; who: jmp *%rax",
        "mov (%rdi), %rax; add $4, %rax; who: jmp *%rax",
        "mov (%rdi), %rax; add %rsi, %rax; who: jmp *%rax",
        "je 1f; mov (%rdi), %rax; 1: who: jmp *%rax",
        "mov (%rdi), %rax; call g; who: jmp *%rax",
        "movslq (%rdi), %rax; who: jmp *%rax"
      })
  void namesTheIndirectJumpWhoseTableIsNotFound(String jump) throws Exception {
    assertRefusedBecauseOf(assemble("", jump, "g: ret"), "who", "jump table");
  }

  @ParameterizedTest
  @CsvSource({"site, true", "site1, false", "site4, false"})
  void readsTheJumpTableOfASwitch(String second, boolean isAllowed) throws Exception {
    CodeRegion f =
        assemble(
            """
            cmp $2, %%edi
            ja 9f
            mov %%edi, %%edi
            lea table(%%rip), %%rdx
            movslq (%%rdx,%%rdi,4), %%rax
            add %%rdx, %%rax
            who: notrack jmp *%%rax
            9:
            """
                .formatted(),
            "",
            ".section .rodata\ntable: .long site-table, " + second + "-table, 9b-table");
    if (isAllowed) {
      assertThat(check(f).tableEntries()).isEqualTo(3);
    } else {
      assertRefusedBecauseOf(f, "who", "by its jump table");
    }
  }

  /** Calls at the tail, by pointers that are known to lead elsewhere. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "jmp *8(%rdi)",
        "jmp *(%rdi,%rax,8)",
        "jmp *pointers+8(%rip)",
        "mov 8(%rdi), %rax; pop %rbx; jmp *%rax",
        "mov 8(%rdi), %rax; mov (%rax), %rcx; add $8, %rsp; notrack jmp *%rcx",
        "mov pointers(%rip), %rax; jmp *%rax",
        "lea pointers(%rip), %rax; jmp *(%rax,%rdi,8)",
        "lea text(%rip), %rsi; jmp *8(%rdi)",
        "lea g(%rip), %rsi; jmp *8(%rdi)"
      })
  void allowsAJumpToAPointerThatTheFunctionCanNotHaveComputed(String jump) throws Exception {
    String elsewhere =
        """
        .type g, @function
        g: .cfi_startproc
          ret
          .cfi_endproc
        .size g, .-g
        .section .rodata
        text: .asciz "a text that is no table"
        .section .data.rel.ro, "aw"
        pointers: .quad g, site
        """;
    assertThat(check(assemble("", jump, elsewhere)).outside()).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"lea pointers(%rip), %rax; jmp *(%rax,%rdi,8)", "jmp *8(%rdi)"})
  void refusesAJumpToAPointerWhereTheLoaderWritesOneThatLeadsInside(String jump) throws Exception {
    CodeRegion f = assemble("", jump, ".section .data.rel.ro, \"aw\"\npointers: .quad site, site2");
    assertRefused(f, 7).satisfies(refused -> assertThat(refused.reason()).contains("a relocation"));
  }

  /** A target is computed, kept on the stack, and jumped to from there. */
  @ParameterizedTest
  @CsvSource({"site, true", "site1, false", "site4, false"})
  void readsEachTableThatAPointerMayHaveBeenComputedBy(String second, boolean isAllowed)
      throws Exception {
    CodeRegion f =
        assemble(
            """
            lea table(%%rip), %%rdx
            movslq (%%rdx,%%rdi,4), %%rax
            add %%rdx, %%rax
            mov %%rax, -8(%%rsp)
            who: jmp *-8(%%rsp)
            9:
            """
                .formatted(),
            "",
            ".section .rodata\ntable: .long site-table, " + second + "-table, 9b-table");
    if (isAllowed) {
      assertThat(check(f).tableEntries()).isEqualTo(3);
    } else {
      assertRefusedBecauseOf(f, "who", "table whose address the function takes");
    }
  }

  /** From there it could count, by a table in any form. */
  @ParameterizedTest
  @ValueSource(strings = {"f", "site", "behind", "other"})
  void refusesAJumpToAPointerWhereTheFunctionTakesAnAddressToCountFrom(String base)
      throws Exception {
    CodeRegion f =
        assemble(
            "lea " + base + "(%rip), %rax; add (%rsi), %rax; mov %rax, (%rdi); who: jmp *(%rdi)",
            "behind: nop",
            """
            .type g, @function
            g: .cfi_startproc
              nop
            other: ret
              .cfi_endproc
            .size g, .-g
            """);
    assertRefusedBecauseOf(f, "who", "takes an address of code");
  }

  @Test
  void refusesAJumpToAPointerWhereACallPushesAnAddressToCountFrom() throws Exception {
    String count = "1: pop %rax; add (%rsi), %rax; mov %rax, (%rdi); who: jmp *(%rdi)";
    assertRefusedBecauseOf(assemble("call 1f; " + count, "", ""), "who", "stores an address");
    assertThat(check(assemble("call f; " + count, "", "")).outside()).isZero();
  }

  @Test
  void refusesAJumpToAPointerInAPartOfAFunctionThatAnotherPartMayHaveComputed() throws Exception {
    CodeRegion f =
        assemble(
            "who: jmp *(%rdi)",
            "entered: nop",
            """
            .type cold, @function
            cold: .cfi_startproc
              jmp entered
              .cfi_endproc
            .size cold, .-cold
            """);
    assertRefusedBecauseOf(f, "who", "may have computed");
  }

  @Test
  void refusesAJumpToAPointerWhereOperandsMayBeAddresses() throws Exception {
    assemble("", "who: jmp *(%rdi)", "");
    object =
        Compiled.of(
            directory, "f.s", Files.readString(directory.resolve("f.s")), "-no-pie -static");
    assertThat(object.image().isFixed()).isTrue();
    assertRefusedBecauseOf(object.function("f", BIAS), "who", "linked for a fixed address");
  }

  @ParameterizedTest
  @ValueSource(strings = {"-O0", "-O2", "-O3"})
  void goesByTheLoadersPointersWhereLabelsAreValues(String level) throws Exception {
    object =
        Compiled.of(
            directory,
            "computed.c",
            """
            int next(int i, int y) {
              static const void *const table[] = {&&a, &&b, &&c};
              goto *table[i];
            a: return y + 1;
            b: return y * 5;
            c: return y - 7;
            }
            """,
            level + " -fPIC -shared");
    CodeRegion next = object.function("next", BIAS);
    AddressLinks labels = Relocations.pointersToCode(object.image());
    FunctionCode code = new FunctionCode(new TableDecoder(), next);
    Entrances entrances = entrances();
    int refused = 0;
    for (int i = 0; i < code.count() && code.address(i) + JUMP <= next.end(); i++) {
      try {
        Entrances.Unentered proof =
            entrances.check(new TableDecoder(), next, code.address(i), JUMP);
        for (int label = 0; label < labels.size(); label++) {
          long target = labels.target(label) + BIAS;
          assertThat(target <= proof.from() || target >= proof.to()).isTrue();
        }
      } catch (PlanRefusedException refusal) {
        refused++;
      }
    }
    assertThat(labels.size()).isGreaterThanOrEqualTo(3);
    assertThat(refused).isPositive();
  }

  @ParameterizedTest
  @ValueSource(strings = {"-O0", "-O2", "-O3"})
  void refusesGotosThatAreComputedFromALabel(String level) throws Exception {
    object =
        Compiled.of(
            directory,
            "distances.c",
            """
            int next(int i, int y) {
              static const int distances[] = {&&a - &&a, &&b - &&a, &&c - &&a};
              void *where = &&a + distances[i];
              goto *where;
            a: return y + 1;
            b: return y * 5;
            c: return y - 7;
            }
            """,
            level + " -fPIC -shared");
    CodeRegion next = object.function("next", BIAS);
    assertThatThrownBy(() -> check(next, next.address(), JUMP))
        .asInstanceOf(InstanceOfAssertFactories.type(PlanRefusedException.class))
        .satisfies(
            refused -> {
              assertThat(refused.rule()).isEqualTo(7);
              assertThat(refused.reason()).contains("indirect jump");
            });
  }

  @Test
  void refusesRetpolines() throws Exception {
    String thunk = "thunk: call 1f\n0: pause\n lfence\n jmp 0b\n1: mov %rax, (%rsp)\n ret";
    assertRefusedBecauseOf(assemble("", "who: jmp thunk", thunk), "who", "retpoline");
    assertRefusedBecauseOf(
        assemble("", thunk.replace("thunk: call", "who: call"), ""), "who", "retpoline");
  }

  @Test
  void refusesALandingPadInside() throws Exception {
    CodeRegion f =
        assemble(
            ".cfi_personality 0x9b, person\n .cfi_lsda 0x1b, calls\n1: call g\n2:",
            "",
            """
            g: ret
            .section .data.rel.local,"aw"
            person: .quad g
            .section .gcc_except_table,"a"
            calls: .byte 0xff, 0xff, 0x01
              .uleb128 4f-3f
            3: .uleb128 1b-f, 2b-1b, site2-f, 0
            4:
            """);
    assertRefusedBecauseOf(f, "site2", "exception");
  }

  @Test
  void refusesThePadsOfCompiledCleanups() throws Exception {
    object =
        Compiled.of(
            directory,
            "pads.c",
            """
            extern void work(int);
            extern void give_back(int *);
            int f(int n) {
              int held __attribute__((cleanup(give_back))) = n;
              work(n);
              return n;
            }
            """,
            "-O2 -fPIC -shared -fexceptions -fno-reorder-blocks-and-partition -fno-ipa-icf");
    long pad = LandingPads.of(object.image()).all().get(0);
    FunctionRange range = EhFrame.of(object.image()).rangeAt(pad).orElseThrow();
    CodeRegion part =
        CodeRegion.of("part", range.start() + BIAS, LoadedBytes.of(object.image()).code(range));
    // The instruction at the pad is a single entry: nothing is displaced behind it.
    assertThat(check(part, pad + BIAS, 1).from()).isEqualTo(pad + BIAS);
    long before = boundaryBefore(part, pad + BIAS);
    int both = (int) (pad + BIAS - before) + 1;
    assertThatThrownBy(() -> check(part, before, both))
        .hasMessageContaining("an exception that is thrown is caught there");
  }

  @ParameterizedTest
  @ValueSource(strings = {"-O0", "-O2", "-O3", "-O2 -fcf-protection=full"})
  void refusesEachCaseOfACompiledSwitchAndNotWhatStandsBetween(String level) throws Exception {
    object =
        Compiled.of(
            directory,
            "switch.c",
            """
            int f(int x, int y) {
              switch (x) {
                case 0: return y * 3 - 1;
                case 1: return y ^ 77;
                case 2: return y - 9;
                case 3: return y / 7 + 5;
                case 4: return y << 3;
                case 5: return y % 11;
              }
              return 0;
            }
            """,
            level + " -fPIC -shared -Wa,--keep-locals");
    CodeRegion f = object.function("f", BIAS);
    Matcher entries = Pattern.compile("\\.long\\s(\\.L\\d+)-").matcher(object.assembly());
    int cases = 0;
    while (entries.find()) {
      long label = object.address(entries.group(1)) + BIAS;
      long before = boundaryBefore(f, label);
      assertThatThrownBy(() -> check(f, before, (int) (label - before) + 1))
          .hasMessageContaining("rule 7")
          .hasMessageContaining("by its jump table");
      assertThat(check(f, label, 1).tableEntries()).isGreaterThanOrEqualTo(6);
      cases++;
    }
    assertThat(cases).isGreaterThanOrEqualTo(6);
  }

  private static long boundaryBefore(CodeRegion code, long address) {
    long last = code.address();
    for (CodeLine line : X86Planner.with(new TableDecoder()).disassemble(code)) {
      if (line.address() < address) {
        last = line.address();
      }
    }
    return last;
  }

  @Test
  void refusesTheStartAndTheEndOfAPartByUnwindInformation() throws Exception {
    CodeRegion f =
        assemble("", "site: nop\nnop\n.cfi_endproc\nsite2: .cfi_startproc\nnop\nnop\nnop", "", "");
    assertRefusedBecauseOf(f, "site2", ".eh_frame");
  }

  @Test
  void refusesASymbolOfAnyTypeInside() throws Exception {
    CodeRegion f = assemble("", "", "");
    for (String type : new String[] {"", ".type site2, @object", ".type site2, @function"}) {
      CodeRegion named = assemble("", "site: nop\nnop\nsite2: nop\nnop\nnop", "", type);
      Entrances entrances = Entrances.of(object.image(), object.symbols(), BIAS);
      assertThatThrownBy(
              () -> entrances.check(new TableDecoder(), named, object.address("site") + BIAS, JUMP))
          .asInstanceOf(InstanceOfAssertFactories.type(PlanRefusedException.class))
          .satisfies(
              refused -> {
                assertThat(refused.rule()).isEqualTo(7);
                assertThat(refused.address()).isEqualTo(object.address("site2") + BIAS);
                assertThat(refused.reason()).contains("site2");
              });
    }
    assertThat(f.name()).isEqualTo("f");
  }

  @Test
  void refusesAPointerOfTheLoaderThatLeadsInside() throws Exception {
    String pointer = ".section .data.rel.local,\"aw\"\n .quad f, site2";
    assertRefusedBecauseOf(assemble("", "", pointer), "site2", "relocation");
  }

  @Test
  void refusesAPointerInThePackedRelocationsThatLeadsInside() throws Exception {
    String source =
        """
        .text
        .type f, @function
        f: push %rbx
        site: nop
          nop
        site2: nop
          nop
          nop
          ret
        .size f, .-f
        .section .data.rel.local,"aw"
        .balign 8
        .quad f, f, site2, f
        """;
    object = Compiled.of(directory, "f.s", source, "-shared -Wl,-z,pack-relative-relocs");
    assertThat(Compiled.output(directory, List.of("readelf", "-dW", "object"))).contains("RELR");
    assertRefusedBecauseOf(object.function("f", BIAS), "site2", "relocation");
  }

  @Test
  void refusesAnAddressAnywhereInAnObjectLinkedForAFixedAddress() throws Exception {
    for (String holder :
        new String[] {".data\n .byte 1\n .quad site2", ".text\n g: mov $site2, %edi\n ret"}) {
      String source =
          """
          .text
          .type f, @function
          f: push %rbx
          site: nop
            nop
          site2: nop
            nop
            nop
            ret
          .size f, .-f
          """
              + holder
              + "\n";
      object = Compiled.of(directory, "f.s", source, "-no-pie -static");
      CodeRegion f = object.function("f", 0);
      Entrances entrances = Entrances.of(object.image(), Symbols.NONE, 0);
      assertThatThrownBy(() -> entrances.check(new TableDecoder(), f, object.address("site"), JUMP))
          .hasMessageContaining("4 bytes at 0x");
      assertThat(entrances.check(new TableDecoder(), f, object.address("site2") + 1, 2).to())
          .isEqualTo(object.address("site2") + 3);
    }
  }

  @Test
  void refusesAMarkedTargetOfIndirectBranchesInside() throws Exception {
    CodeRegion f = assemble("", "site: nop\nsite1: endbr64", "", "");
    assertRefusedBecauseOf(f, "site1", "endbr64");
  }

  @Test
  void refusesARestartableSequence() throws Exception {
    CodeRegion f =
        assemble(
            "start: nop\nnop\ncommit:",
            "site: nop\nnop\nnop\nnop\nnop",
            "abort: nop",
            """
            .section __rseq_cs, "aw"
            .balign 32
            sequence: .long 0, 0
              .quad start, commit-start, abort
            """);
    RseqSections read = RseqSections.of(object.image(), BIAS);
    assertThat(read.sections())
        .containsExactly(
            new RseqSections.Section(
                object.address("start") + BIAS, 2, object.address("abort") + BIAS));
    // The site ends where the abort handler begins: in the signature before it.
    assertRefused(f, 16);
  }

  @Test
  void refusesAnEntryPointThatTheCallerKnows() throws Exception {
    CodeRegion f = assemble("", "", "");
    CodeRegion entered =
        new CodeRegion(
            f.name(),
            f.address(),
            f.bytes(),
            ImmutableSet.of(object.address("site2") + BIAS),
            ImmutableList.of(),
            f.backing());
    assertRefusedBecauseOf(entered, "site2", "entry point");
  }

  @Test
  void refusesThePlaceWhereTheProgramStarts() throws Exception {
    CodeRegion f = assemble("", "", "");
    assertThat(check(f).instructions()).isEqualTo(8);
    String source =
        """
        .text
        .globl site2
        .type f, @function
        f: push %rbx
        site: nop
          nop
        site2: nop
          nop
          nop
          ret
        .size f, .-f
        """;
    object = Compiled.of(directory, "f.s", source, "-shared -Wl,-e,site2");
    // -e,0 of the helper comes later on the command line and wins: set the header by hand.
    byte[] bytes = Files.readAllBytes(directory.resolve("object"));
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(24, object.address("site2"));
    ElfImage image = ElfImage.parse("object", ByteBuffer.wrap(bytes));
    assertThatThrownBy(
            () ->
                Entrances.of(image, Symbols.NONE, BIAS)
                    .check(
                        new TableDecoder(),
                        object.function("f", BIAS),
                        object.address("site") + BIAS,
                        JUMP))
        .hasMessageContaining("the program starts there");
  }

  @Test
  void refusesAFunctionThatIsNotTheOneInTheFile() throws Exception {
    CodeRegion f = assemble("", "", "");
    int site = (int) (object.address("site") + BIAS - f.address());
    CodeRegion changed = CodeRegion.of("f", f.address(), f.bytes().with(site, CodeBytes.of(0xf8)));
    assertRefused(changed, 7).satisfies(r -> assertThat(r.reason()).contains("somebody else"));
    CodeRegion elsewhere = CodeRegion.of("f", f.address() + 0x10_0000_0000L, f.bytes());
    assertThatThrownBy(() -> check(elsewhere, elsewhere.address() + site, JUMP))
        .hasMessageContaining("is not in");
  }

  @Test
  void takesOurOwnPatchesBackAndCountsTheirBranches() throws Exception {
    CodeRegion f = assemble("long: .byte 0x0f, 0x1f, 0x44, 0, 0", "", "");
    long at = object.address("long") + BIAS;
    int offset = f.offsetOf(at);
    Site original = new Site(at, f.bytes().slice(offset, offset + 5));
    for (String target : new String[] {"site", "site2"}) {
      int distance = (int) (object.address(target) + BIAS - at - 5);
      CodeBytes jump = CodeBytes.of(0xe9, distance, 0, 0, 0);
      CodeRegion patched =
          new CodeRegion(
              "f",
              f.address(),
              f.bytes().with(offset, jump),
              ImmutableSet.of(),
              ImmutableList.of(original),
              f.backing());
      if (target.equals("site")) {
        assertThat(check(patched).outside()).isZero();
      } else {
        assertRefusedBecauseOf(patched, "long", "our own patch");
      }
    }
  }

  @Test
  void refusesWhatIsTooNearToTheEndAndWhatIsNoBoundary() throws Exception {
    CodeRegion f = assemble("movabs $0x1122334455667788, %rax", "", "");
    long site = object.address("site") + BIAS;
    assertThatThrownBy(() -> check(f, site, 8)).hasMessageContaining("rule 9");
    assertThatThrownBy(() -> check(f, f.address() + 2, JUMP)).hasMessageContaining("rule 1 ");
  }

  @Test
  void countsTheLastInstructionWhole() throws Exception {
    CodeRegion f =
        assemble("who: jmp site5", "site: nop\nnop\nnop\nnop\n.byte 0x66\nsite5: nop", "", "");
    // The jump leads to byte 5, into the last instruction, which has bytes 4 and 5.
    assertRefusedBecauseOf(f, "who", "in the same function");
  }

  @Test
  void refusesAFunctionThatCantBeReadWhole() throws Exception {
    CodeRegion f = assemble("", "jmp 8f\nwho: .byte 0x06, 0x06\n8:", "");
    assertRefusedBecauseOf(f, "who", "can't be read");
  }
}
