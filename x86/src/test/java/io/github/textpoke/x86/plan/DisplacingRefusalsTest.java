package io.github.textpoke.x86.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.fixtures.PlanAssertions;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.api.AbstractStringAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each rule of {@link Rules} that a jump over several instructions must keep, broken. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class DisplacingRefusalsTest {
  private static final long BIAS = 0x5555_0000_0000L;
  private static final long GIBIBYTE = 1L << 30;
  private static final String NOPS = "nop\nsite1: nop\nsite2: nop\nnop\nnop";

  @TempDir Path directory;

  private final X86Planner planner = X86Planner.with(new TableDecoder());
  private Compiled object;
  private CodeRegion code;
  private long site;

  /** Assembles {@code f}: {@code before}, the {@code site}, {@code behind}. */
  private void assemble(String before, String atSite, String behind) throws Exception {
    object =
        Compiled.of(
            directory,
            "f.s",
            """
            .text
            .type f, @function
            f: .cfi_startproc
            %s
            site: %s
            %s
              .cfi_endproc
            .size f, .-f
            """
                .formatted(before, atSite, behind),
            "-shared");
    code = object.function("f", BIAS);
    site = address("site");
  }

  private long address(String label) {
    return object.address(label) + BIAS;
  }

  private DisplacingPlan displace(X86Planner planner, CodeRegion code, long target, long copy) {
    Entrances entrances = Entrances.of(object.image(), Symbols.NONE, BIAS);
    return planner.displace(code, site, target, copy, entrances);
  }

  private DisplacingPlan displace() {
    return displace(planner, code, site + GIBIBYTE, site - GIBIBYTE);
  }

  private PlanRefusedException refusal(
      X86Planner planner, CodeRegion code, long target, long copy) {
    PlanRefusedException refused =
        catchThrowableOfType(
            PlanRefusedException.class, () -> displace(planner, code, target, copy));
    assertThat(refused).as("refused").isNotNull();
    assertThat(refused.remedy()).as(refused.getMessage()).isNotEmpty();
    assertThat(refused.disassembly()).as(refused.getMessage()).isNotEmpty();
    return refused;
  }

  private AbstractStringAssert<?> assertRefused(int rule) {
    return assertRefused(rule, planner, code, site + GIBIBYTE, site - GIBIBYTE);
  }

  private AbstractStringAssert<?> assertRefused(
      int rule, X86Planner planner, CodeRegion code, long target, long copy) {
    PlanRefusedException refused = refusal(planner, code, target, copy);
    assertThat(refused.rule()).as(refused.getMessage()).isEqualTo(rule);
    return assertThat(refused.getMessage());
  }

  // Rule 1

  @Test
  void rule1RefusesASiteThatIsNoBoundary() throws Exception {
    assemble("", "mov %rsp, %rbp\nmov %rsp, %rbp", "ret");
    site++;

    assertRefused(1).contains("byte 1 of the instruction");
  }

  @Test
  void rule1RefusesAFirstInstructionThatABranchEntersInTheMiddle() throws Exception {
    assemble("jmp site+1", "lock incl (%rdi)\nnop\nnop", "ret");

    assertRefused(1).contains("behind the site's first byte");
  }

  @Test
  void rule1RefusesATargetInTheMiddleOfAnInstructionOrOfTheCopy() throws Exception {
    assemble("", NOPS, "behind: mov $1, %eax\nret");
    long copy = site - GIBIBYTE;

    assertRefused(1, planner, code, copy + 5 + 1, copy).contains("leads into the copy");
    displace(planner, code, copy + 4, copy);
    site = address("site1");
    long middle = address("behind") + 1;
    PlanRefusedException near = refusal(planner, code, middle, copy);
    assertThat(near.rule()).isEqualTo(1);
    assertThat(near.getMessage()).contains("into the middle of");
  }

  // Rules 7 and 8

  @ParameterizedTest
  @ValueSource(strings = {"jmp site1", "je site2", "lea site1(%rip), %rax"})
  void rule7RefusesInstructionsThatSomebodyEnters(String who) throws Exception {
    assemble(who, NOPS, "ret");

    assertRefused(7).contains("behind the first byte of the instructions that would be displaced");
  }

  @Test
  void rule7RefusesAFunctionThatJumpsNobodyKnowsWhere() throws Exception {
    assemble("", NOPS, "jmp *%rax");

    assertRefused(7).contains("an indirect jump");
  }

  @Test
  void rule7RefusesAPatchOfOursAmongTheBytes() throws Exception {
    assemble("nop\nnop", NOPS, "ret");
    for (long ours : new long[] {site, site + 1, site + 4}) {
      CodeRegion patched = Listing.patched(code, ours, CodeBytes.of(0xf8));
      assertRefused(7, planner, patched, site + GIBIBYTE, site - GIBIBYTE)
          .contains("a patch of ours stands at 0x%x".formatted(ours))
          .contains("revert that patch first");
    }
    for (long outside : new long[] {site - 1, site + 5}) {
      CodeRegion patched = Listing.patched(code, outside, CodeBytes.of(0xf8));
      displace(planner, patched, site + GIBIBYTE, site - GIBIBYTE);
    }
  }

  @Test
  void rule7RefusesABreakpointOfOursThatStandsThere() throws Exception {
    assemble("", NOPS, "ret");
    CodeRegion armed = Listing.patched(code, site, CodeBytes.of(0xcc));

    assertRefused(7, planner, armed, site + GIBIBYTE, site - GIBIBYTE).contains("revert");
  }

  @Test
  void rule8RefusesACallThatIsNotTheLast() throws Exception {
    assemble("", "call *%rax\nnop\nnop\nnop", "ret");

    assertRefused(8).contains("return address");
  }

  @Test
  void rule8RefusesWhatDoesNotRunElsewhere() throws Exception {
    assemble("", "fld1\nnop\nnop\nnop", "ret");

    assertRefused(8).contains("can_boost");
  }

  @ParameterizedTest
  @ValueSource(strings = {"nop\nnop\nnop\ncall *%rax", "nop\ncall f"})
  void rule8RefusesToDisplaceACallWhereThereAreShadowStacks(String atSite) throws Exception {
    assemble("nop", atSite, "ret");
    long copy = site - GIBIBYTE;

    assertRefused(8, planner.withShadowStacks(), code, site + GIBIBYTE, copy)
        .contains("shadow stack")
        .contains("choose a site");
    assertThat(displace().copy().pushesReturnAddress()).isTrue();
    PlanAssertions.assertThat(displace().plan()).isSafeInEveryInterleaving();
  }

  @Test
  void shadowStacksAreNoObstacleWithoutACallWhateverElseThePlannerIsTold() throws Exception {
    assemble("", NOPS, "ret");
    X86Planner told = planner.withShadowStacks().withRseq(RseqSections.NONE);
    displace(told, code, site + GIBIBYTE, site - GIBIBYTE);

    assemble("", "nop\ncall f", "ret");
    assertRefused(8, told, code, site + GIBIBYTE, site - GIBIBYTE);
    X86Planner both = told(new RseqSections.Section(site, 1, site + 9)).withShadowStacks();
    assertRefused(16, both, code, site + GIBIBYTE, site - GIBIBYTE);
  }

  // Rules 9 to 11 and 13

  @ParameterizedTest
  @CsvSource({
    "nop; nop; nop; ret, '', 'f ends'",
    "nop; ret, nop; nop; nop; nop, control never goes on behind it",
    "nop; nop; nop, .byte 0x48; .byte 0x8b, does not end in f",
  })
  void rule9RefusesASiteThatIsTooNearToTheEnd(String atSite, String behind, String reason)
      throws Exception {
    assemble("", atSite.replace(';', '\n'), behind.replace(';', '\n'));

    assertRefused(9).contains(reason);
  }

  @Test
  void rule10IsKeptByACopyAndAnEvacuationForEachInstructionInside() throws Exception {
    assemble("", NOPS, "ret");
    DisplacingPlan displacing = displace();

    assertThat(displacing.plan().pokes().get(0).oldInterior()).hasSize(4);
    assertThat(displacing.copy().boundaries()).hasSize(5);
    PlanAssertions.assertThat(displacing.plan()).isSafeInEveryInterleaving();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 4, 5, 6})
  void rule11RefusesATargetInsideOfTheSiteAndRule1InsideOfTheNextInstruction(long offset)
      throws Exception {
    assemble("", "mov %rsp, %rbp\nsub $0x10, %rsp", "ret");

    PlanRefusedException refused = refusal(planner, code, site + offset, site - GIBIBYTE);
    assertThat(refused.rule()).as(refused.getMessage()).isEqualTo(offset < 3 ? 11 : 1);
  }

  @Test
  void rule11RefusesATargetOnADisplacedBoundary() throws Exception {
    assemble("", NOPS, "ret");

    assertRefused(11, planner, code, site + 1, site - GIBIBYTE).contains("its own site");
  }

  @Test
  void rule13RefusesATargetOutOfReach() throws Exception {
    assemble("", NOPS, "ret");

    assertRefused(13, planner, code, site + 2 * GIBIBYTE + 5, site - GIBIBYTE)
        .contains("more than 2 GiB above");
    displace(planner, code, site + 2 * GIBIBYTE + 4, site - GIBIBYTE);
  }

  @Test
  void rule13RefusesACopyThatDoesNotReachWhatItNames() throws Exception {
    assemble("", "mov %rsp, %rbp\nlea f-0x60000000(%rip), %rax", "ret");

    assertRefused(13, planner, code, site - GIBIBYTE, site + GIBIBYTE)
        .contains("more than 2 GiB below the copy")
        .contains("put the copy nearer");
    displace(planner, code, site + GIBIBYTE, site - GIBIBYTE);
  }

  // Rules 14 to 16

  @Test
  void rule14RefusesEndbr64AndNamesTheInstructionBehindIt() throws Exception {
    assemble("", "endbr64\nnop", "ret");

    assertRefused(14).contains("use the instruction behind it, at 0x%x (+4)".formatted(site + 4));
  }

  @Test
  void rule14RefusesEndbr64AmongTheBytes() throws Exception {
    assemble("", "nop\nendbr64", "ret");

    assertRefused(14).contains("endbr64 must stay");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "syscall\nnop\nnop\nnop",
        "nop\nsyscall\nnop\nnop",
        "nop\nint $0x80\nnop\nnop",
        "nop\nxbegin f",
        "nop\nmov %eax, %ss\nnop\nnop",
        "nop\nlret\nnop\nnop\nnop",
        "nop\nud2\nnop\nnop",
        "nop\nin $0x10, %al\nnop\nnop",
        "nop\nlea site1(%rip), %rax\nsite1: nop",
      })
  void rule15RefusesWhatMustStay(String atSite) throws Exception {
    assemble("", atSite.replace("lea site1(%rip)", "lea site+1(%rip)"), "ret");

    assertRefused(15);
  }

  @ParameterizedTest
  @ValueSource(strings = {"rep movsb", "repne scasb", "vgatherdps %xmm1, (%rax,%xmm2,4), %xmm0"})
  void rule15RefusesAFirstInstructionThatCanBeInterruptedHalfDone(String atSite) throws Exception {
    boolean isLong = atSite.startsWith("v");
    assemble("", atSite + "\nnop\nnop\nnop", "ret");

    assertRefused(15).contains("half done");
    if (!isLong) {
      // Behind the first one it goes on in the copy.
      assemble("", "nop\n" + atSite + "\nnop\nnop", "ret");
      PlanAssertions.assertThat(displace().plan()).isSafeInEveryInterleaving();
    }
  }

  @Test
  void rule15RefusesASiteInTheShadowOfMovSs() throws Exception {
    assemble("mov %eax, %ss", NOPS, "ret");

    assertRefused(15).contains("delays traps");
  }

  @Test
  void rule16RefusesEachByteInASequenceThatThePlannerWasToldOf() throws Exception {
    assemble("nop\nnop", NOPS, "ret");
    for (int offset = 0; offset < 5; offset++) {
      RseqSections.Section inside = new RseqSections.Section(site + offset, 1, site + 0x1000);
      assertRseqRefused(inside).contains("restartable sequence at");
    }
    assertRseqRefused(new RseqSections.Section(0x1000, 16, site + 8)).contains("abort handler");
    for (long outside : new long[] {site - 1, site + 5}) {
      displace(
          told(new RseqSections.Section(outside, 1, site + 9)),
          code,
          site + GIBIBYTE,
          site - GIBIBYTE);
    }
  }

  private X86Planner told(RseqSections.Section section) {
    return planner.withRseq(new RseqSections(ImmutableList.of(section)));
  }

  private AbstractStringAssert<?> assertRseqRefused(RseqSections.Section section) {
    return assertRefused(16, told(section), code, site + GIBIBYTE, site - GIBIBYTE);
  }

  @Test
  void rule16RefusesASequenceOfTheObject() throws Exception {
    assemble(
        "",
        "nop\nnop\nnop\ncommit: nop\nnop",
        """
        ret
        .skip 8, 0x90
        abort: nop
        .section __rseq_cs, "aw"
        .balign 32
        sequence: .long 0, 0
          .quad commit, 1, abort
        .text
        """);

    assertRefused(16).contains("restartable sequence at 0x%x".formatted(site + 3));
  }

  // Rules 18, 19 and 22

  @Test
  void rule18RefusesASharedMapping() throws Exception {
    assemble("", NOPS, "ret");
    CodeRegion shared = Listing.mapped(code, Backing.SHARED);

    PlanRefusedException refused =
        catchThrowableOfType(
            PlanRefusedException.class,
            () -> displace(planner, shared, site + GIBIBYTE, site - GIBIBYTE));
    assertThat(refused.rule()).isEqualTo(18);
  }

  @ParameterizedTest
  @ValueSource(strings = {"int3\nnop\nnop\nnop\nnop", "nop\nnop\nnop\nnop\nint3"})
  void rule19RefusesABreakpointOfOthers(String atSite) throws Exception {
    assemble("", atSite, "ret");

    assertRefused(19).contains("not ours");
  }

  @ParameterizedTest
  @ValueSource(longs = {Integer.MAX_VALUE + 1L, Integer.MIN_VALUE - 1L, 1L << 46})
  void rule22RefusesACopyThatIsFarAwayThoughItNeedsNoJumpBack(long distance) throws Exception {
    assemble("", "nop\nnop\nnop\nnop\nret", "");

    assertRefused(22, planner, code, site + GIBIBYTE, site + distance).contains("2 GiB");
    displace(planner, code, site + GIBIBYTE, site + distance / (distance / GIBIBYTE));
  }

  @Test
  void rule22RefusesACopyThatWouldOverwriteTheFunction() throws Exception {
    assemble("nop\nnop\nnop\nnop", NOPS, "nop\nnop\nret");
    int size = OutOfLineCopy.maxSize(5);
    long target = site + GIBIBYTE;

    for (long copy : new long[] {site, code.address(), code.end() - 1, code.address() - size + 1}) {
      assertRefused(22, planner, code, target, copy).contains("would overwrite f");
    }
    displace(planner, code, target, code.end());
    displace(planner, code, target, code.address() - size);
  }

  @Test
  void rule22RefusesACopyAtTheEndOfTheAddressSpace() throws Exception {
    assemble("", NOPS, "ret");
    CodeRegion high = CodeRegion.of("f", -0x1000, code.bytes());
    long copy = -OutOfLineCopy.maxSize(5);
    Entrances entrances = Entrances.of(object.image(), Symbols.NONE, -0x1000 - object.address("f"));

    PlanRefusedException refused =
        catchThrowableOfType(
            PlanRefusedException.class,
            () -> planner.displace(high, -0x1000, -0x10_0000, copy, entrances));
    assertThat(refused.rule()).isEqualTo(22);
    planner.displace(high, -0x1000, -0x10_0000, copy - 1, entrances);
  }

  // Rule 6

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 4})
  void rule6RefusesACopyInAnotherSiteOfTheBatch(int before) throws Exception {
    assemble("", NOPS, "ret");
    long there = site + 0x1000;
    CodeRegion other = Listing.at(there, "0f 1f 84 00 00 00 00 00 | nop\nc3 | ret");
    PatchPlan nop = planner.replace(other, there, Assembly.jmp(site + GIBIBYTE));
    PatchPlan displacing = displace(planner, code, site + GIBIBYTE, there - before).plan();

    PlanRefusedException refused =
        catchThrowableOfType(
            PlanRefusedException.class, () -> planner.batch(List.of(nop, displacing)));
    assertThat(refused.rule()).isEqualTo(6);
    assertThat(refused.getMessage()).contains("sends threads to 0x%x".formatted(there));
    assertThat(displacing.pokes().get(0).trapAction())
        .isEqualTo(new TrapAction.Redirect(there - before));
  }

  @Test
  void rule6RefusesADisplacedBranchThatIsPutBackAndLeadsIntoAnotherSiteOfTheBatch()
      throws Exception {
    assemble("", "nop\nje f+0x100", "ret");
    PatchPlan back = displace().plan().inverse();
    CodeRegion there =
        Listing.at(code.address() + 0x100 - 2, "0f 1f 84 00 00 00 00 00 | nop\nc3 | ret");
    PatchPlan nop = planner.replace(there, there.address(), Assembly.jmp(site + GIBIBYTE));

    PlanRefusedException refused =
        catchThrowableOfType(PlanRefusedException.class, () -> planner.batch(List.of(nop, back)));
    assertThat(refused.rule()).isEqualTo(6);
    assertThat(refused.address()).isEqualTo(site + 1);
  }
}
