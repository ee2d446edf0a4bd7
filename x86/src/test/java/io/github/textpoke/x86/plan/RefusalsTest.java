package io.github.textpoke.x86.plan;

import static io.github.textpoke.x86.plan.Listing.START;
import static io.github.textpoke.x86.plan.Listing.code;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.encode.Assembly;
import java.util.List;
import org.assertj.core.api.AbstractStringAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Each rule of {@link Rules} that the planner enforces, broken. */
class RefusalsTest {
  private static final CodeRegion FUNCTION =
      code(
          """
          55                   | push rbp
          48 89 e5             | mov rbp,rsp
          0f 1f 44 00 00       | nop
          48 c7 c0 2a 00 00 00 | mov rax,42
          5d                   | pop rbp
          c3                   | ret
          """);
  private static final long NOP5 = START + 4;
  private static final long MOV7 = START + 9;
  private static final long FAR = 0x50_0000;

  private final X86Planner planner = X86Planner.create();

  // Rule 1

  @Test
  void rule1RefusesASiteThatIsNoBoundaryAndNamesTheTwoAroundIt() {
    assertRefused(1, FUNCTION, START + 2, Assembly.nop())
        .contains("byte 1 of the instruction at 0x401001")
        .contains("choose 0x401001 or 0x401004");
  }

  @Test
  void rule1RefusesASiteOutsideOfTheCode() {
    assertRefused(1, FUNCTION, FUNCTION.end(), Assembly.nop())
        .contains("not in f (0x401000 to 0x401012)");
    assertRefused(1, FUNCTION, START - 1, Assembly.nop()).contains("not in f");
  }

  @Test
  void rule1RefusesASiteBehindBytesThatAreNoInstruction() {
    CodeRegion code =
        code(
            """
            55 | push rbp
            06 | no instruction of 64-bit mode
            90 | nop
            c3 | ret
            """);

    assertRefused(1, code, START + 2, Assembly.nop()).contains("0x401001").contains("[06 90 c3]");
    assertRefused(1, code, START + 1, Assembly.nop()).contains("can't be read");
  }

  @Test
  void rule1RefusesWhereTwoDecodersDisagreeAndShowsBothReadings() {
    InstructionDecoder blind =
        new InstructionDecoder() {
          @Override
          public String name() {
            return "blind";
          }

          @Override
          public long decode(CodeRegion code, int offset) {
            return offset == 1
                ? Decoded.undecodable(Undecodable.UNKNOWN)
                : new TableDecoder().decode(code, offset);
          }
        };
    X86Planner witnessed = X86Planner.with(new WitnessedDecoder(new TableDecoder(), blind));

    assertRefused(1, witnessed, FUNCTION, NOP5, Assembly.jmp(FAR))
        .contains("table: 3 bytes (48 89 e5)")
        .contains("blind: no instruction that is known");
    witnessed.replace(FUNCTION, START, Assembly.nop());
  }

  @Test
  void rule1RefusesASiteBehindABreakpointOfOthers() {
    CodeRegion code =
        code(
            """
            cc    | int3
            48 98 | cdqe
            c3    | ret
            """);

    assertRefused(1, code, START + 1, Assembly.nop()).contains("breakpoint that is not ours");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          eb 04             | jmp
          74 04             | je
          e3 04             | jrcxz
          0f 85 04 00 00 00 | jne rel32
          e8 04 00 00 00    | call
          c7 f8 04 00 00 00 | xbegin
          """)
  void rule1RefusesASiteThatABranchEntersInTheMiddle(String bytes, String text) {
    int length = CodeBytes.ofHex(bytes).length();
    CodeRegion code =
        code(bytes + " | to byte 2 below\n31 c0 | xor eax,eax\n0f 1f 44 00 00 | nop\nc3 | ret");

    assertRefused(1, code, START + length + 2, Assembly.nop())
        .as(text)
        .contains("the branch at 0x401000")
        .contains("behind the site's first byte");
    planner.replace(code, START + length, Assembly.nop());
  }

  @Test
  void rule1RefusesASiteThatABranchFromBehindEntersInTheMiddle() {
    CodeRegion code =
        code(
            """
            f0 0f b1 0f | lock cmpxchg [rdi],ecx
            c3          | ret
            eb fa       | jmp behind the lock prefix
            """);

    assertRefused(1, code, START, Assembly.nop()).contains("the branch at 0x401005");
  }

  @Test
  void rule1RefusesASiteThatIsReachedInTheMiddleThroughAnotherReadingOfTheBytes() {
    CodeRegion code =
        code(
            """
            eb 01          | jmp to the second byte of the mov
            b0 b8          | mov al,0xb8; from the second byte: mov eax,0x00441f0f
            0f 1f 44 00 00 | nop; that mov ends before its last byte
            c3             | ret
            """);

    assertRefused(1, code, START + 4, Assembly.nop()).contains("the branch at 0x401000");
    planner.replace(code, START, Assembly.nop());
  }

  @Test
  void rule1RefusesASiteWithAnEntryPointInTheMiddle() {
    CodeRegion code = Listing.withEntryPoint(FUNCTION, NOP5 + 1);

    assertRefused(1, code, NOP5, Assembly.nop()).contains("entry point 0x401005");
    planner.replace(code, MOV7, Assembly.nop());
  }

  @Test
  void rule1RefusesASiteOfOursWhereSomebodyElseWrote() {
    CodeRegion code = Listing.patched(FUNCTION, NOP5, CodeBytes.ofHex("06 06 06 06 06"));

    assertRefused(1, code, NOP5, Assembly.nop()).contains("somebody else wrote there");
  }

  @Test
  void rule1RefusesASiteOfOursWhereSomebodyElseWroteALongerInstruction() {
    CodeRegion code = Listing.patched(FUNCTION, NOP5, CodeBytes.ofHex("48 b8 01 02 03"));

    assertRefused(1, code, NOP5, Assembly.nop()).contains("no instruction of its length");
  }

  @Test
  void rule1RefusesASiteThatAPatchOfOursEntersInTheMiddle() {
    CodeBytes jump = CodeBytes.ofHex("eb 08 cc");
    CodeRegion code = Listing.patched(FUNCTION, START + 1, jump);

    assertRefused(1, code, MOV7, Assembly.jmp(FAR)).contains("the branch at 0x401001");
  }

  @Test
  void rule1RefusesANewBranchIntoTheMiddleOfAnInstruction() {
    assertRefused(1, FUNCTION, NOP5, Assembly.jmp(MOV7 + 1)).contains("into the middle of");
  }

  // Rules 2 to 5

  @Test
  void rule2RefusesBytesThatStandThereAlready() {
    CodeBytes same = CodeBytes.ofHex("0f 1f 44 00 00");

    assertRefused(2, FUNCTION, NOP5, Assembly.bytes(same)).contains("stand there already");
  }

  @Test
  void rule3RefusesWhatCantBePaddedInside() {
    CodeBytes fs = CodeBytes.ofHex("64 8b 03");

    assertRefused(3, FUNCTION, NOP5, Assembly.bytes(fs)).contains("segment override");
  }

  @Test
  void rule4RefusesNewBytesThatCantBeJudged() {
    CodeBytes junk = CodeBytes.ofHex("06 06 06 06 06");

    assertRefused(4, FUNCTION, NOP5, Assembly.bytes(junk)).contains("no instruction");
  }

  // Rule 6

  @Test
  void rule6RefusesTwoPokesOfOneSite() {
    PatchPlan jump = planner.replace(FUNCTION, NOP5, Assembly.jmp(FAR));
    PatchPlan call = planner.arm(FUNCTION, NOP5, new TrapAction.PassOn());

    assertBatchRefused(6, List.of(jump, call)).contains("two pokes at one address");
  }

  @Test
  void rule6RefusesTwoSitesThatShareBytes() {
    PatchPlan jump = planner.replace(FUNCTION, MOV7, Assembly.jmp(FAR));
    CodeRegion otherReading = Listing.at(MOV7 + 3, "2a 00 | sub al,[rax]\n00 00 | add [rax],al");
    PatchPlan nop = planner.replace(otherReading, MOV7 + 3, Assembly.nop());

    assertBatchRefused(6, List.of(nop, jump)).contains("two sites overlap");
  }

  @Test
  void rule6RefusesABranchIntoAnotherSiteOfTheBatch() {
    PatchPlan nop = planner.replace(FUNCTION, MOV7, Assembly.nop());
    CodeRegion elsewhere = Listing.at(0x40_2000, "0f 1f 44 00 00 | nop\nc3 | ret");
    PatchPlan jump = planner.replace(elsewhere, 0x40_2000, Assembly.jmp(MOV7 + 3));

    assertBatchRefused(6, List.of(nop, jump)).contains("behind the first byte of another site");
  }

  @Test
  void rule6RefusesASiteThatSharesBytesWithAnEarlierPatch() {
    CodeRegion code = Listing.patched(FUNCTION, START, CodeBytes.ofHex("eb 10 cc cc"));

    assertRefused(6, code, START, Assembly.nop()).contains("revert that patch first");
    assertRefused(6, code, START + 1, Assembly.nop()).contains("revert that patch first");
  }

  // Rules 7 and 9

  @Test
  void rule7RefusesToDisplaceSeveralInstructionsAndNamesThemAndABetterSite() {
    assertRefused(7, FUNCTION, START, Assembly.jmp(FAR))
        .contains("needs 5 bytes and the instruction has 1")
        .contains("it would displace")
        .contains("the nearest is 0x401004");
  }

  @Test
  void rule9RefusesAReplacementThatWouldRunOverTheFunctionsEnd() {
    assertRefused(9, FUNCTION, START + 16, Assembly.jmp(FAR)).contains("f ends at 0x401012");
  }

  @Test
  void rule9RefusesAnInstructionThatDoesNotEndInTheFunction() {
    CodeRegion code = code("90 | nop\n48 c7 c0 | mov rax, and the rest is missing");

    assertRefused(9, code, START + 1, Assembly.nop()).contains("give the whole function");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          c3             |                | ret, then the end
          c3             | cc cc cc cc    | ret, then padding
          e9 00 01 00 00 | 06 06          | jmp, then data
          e8 00 01 00 00 |                | call of what never returns
          """)
  void rule9RefusesToLetAThreadRunOverTheFunctionsEnd(String last, String behind, String text) {
    String rest = behind == null ? "" : behind;
    CodeRegion code = code("90 | nop\n" + last + " " + rest + " | " + text);

    assertRefused(9, code, START + 1, Assembly.nop()).contains("it goes on behind the site");
    planner.replace(code("90 | nop\n" + last + " 90 | " + text), START + 1, Assembly.nop());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          62 f2 7d 49 92 04 90 | one that can be interrupted half done
          f3 0f 1e fa          | endbr64
          48 8d 47 01          | too short
          """)
  void rule7NamesTheNearestSiteWhereTheReplacementCouldStandIndeed(String other, String what) {
    CodeRegion code =
        code("90 | nop\n" + other + " | " + what + "\n0f 1f 44 00 00 | nop\nc3 | ret");
    long nop = code.end() - 6;

    assertRefused(7, code, START, Assembly.jmp(FAR)).contains("the nearest is 0x%x".formatted(nop));
    planner.replace(code, nop, Assembly.jmp(FAR));
    // A call could not stand there, for it has a red zone.
    CodeRegion twoNops =
        code("90 90 | nops\n" + other + " | " + what + "\n0f 1f 44 00 00 | nop\nc3 | ret");
    assertRefused(7, twoNops, START, Assembly.call(FAR)).doesNotContain("the nearest is");
  }

  @Test
  void rule7NamesNoSiteThatMayNotBeTouched() {
    CodeRegion code = code("55 | push rbp\n0f 05 | syscall\n66 90 | nop\nc3 | ret");

    assertRefused(7, code, START, Assembly.jmp(START + 5)).contains("the nearest is 0x401003");
  }

  // Rules 11 to 13

  @ParameterizedTest
  @ValueSource(strings = {"66 90 0f 1f 00", "31 c0 cc cc cc", "c3 90 90 90 90"})
  void rule11RefusesNewCodeWithABoundaryInside(String bytes) {
    assertRefused(11, FUNCTION, NOP5, Assembly.bytes(CodeBytes.ofHex(bytes)))
        .contains("when the patch is undone");
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 3, 4})
  void rule11RefusesABranchIntoItsOwnSite(long offset) {
    assertRefused(11, FUNCTION, NOP5, Assembly.jmp(NOP5 + offset)).contains("its own site");
  }

  @Test
  void rule12RefusesACallWhereNoCallStood() {
    assertRefused(12, FUNCTION, NOP5, Assembly.call(FAR)).contains("128 bytes below the stack");
    assertRefused(12, FUNCTION, MOV7, Assembly.bytes(CodeBytes.ofHex("ff 94 24 00 01 00 00")))
        .contains("no call stood here");
  }

  @Test
  void rule13RefusesATargetOutOfReach() {
    assertRefused(13, FUNCTION, NOP5, Assembly.jmp(START + (1L << 31) + 9))
        .contains("more than 2 GiB above");
    assertRefused(13, FUNCTION, NOP5, Assembly.jmp(START + 9 - (1L << 31) - 1))
        .contains("more than 2 GiB below");
  }

  // Rules 14 to 16

  @Test
  void rule14RefusesToOverwriteEndbr64AndNamesTheInstructionBehind() {
    CodeRegion code = code("f3 0f 1e fa | endbr64\n0f 1f 44 00 00 | nop\nc3 | ret");

    assertRefused(14, code, START, Assembly.nop())
        .contains("use the instruction behind it, at" + " 0x401004 (+4)");
    assertThat(refusalOfArming(code, START, new TrapAction.PassOn()).rule()).isEqualTo(14);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          0f 05             | syscall  | system call
          0f 34             | sysenter | system call
          cd 80             | int 0x80 | system call
          c7 f8 00 00 00 00 | xbegin   | transaction
          f3 a4             | rep movsb | half done
          f3 48 ab          | rep stosq | half done
          f2 ae             | repne scasb | half done
          66 f3 a5          | rep movsw | half done
          c4 e2 71 92 04 90 | vgatherdps | half done
          62 f2 7d 49 92 04 90 | vgatherdps | half done
          c4 e2 7b 4b 04 20 | tileloadd | half done
          """)
  void rule15RefusesToReplaceAndToPlace(String bytes, String text, String reason) {
    CodeBytes special = CodeBytes.ofHex(bytes);
    CodeRegion holding = code("90 | nop\n" + bytes + " | " + text + "\nc3 | ret");
    CodeRegion other = code(Assembly.nop().at(START, special.length()).hex() + " | nop\nc3 | ret");

    assertRefused(15, holding, START + 1, Assembly.nop()).as("replacing " + text).contains(reason);
    assertRefused(15, other, START, Assembly.bytes(special)).as("placing " + text).contains(reason);
  }

  @ParameterizedTest
  @ValueSource(strings = {"8e d0", "48 cf", "cb"})
  void rule15RefusesToPlaceWhatLoadsASegmentForTheCodeBehindIt(String bytes) {
    CodeBytes special = CodeBytes.ofHex(bytes);
    CodeRegion code = code(Assembly.nop().at(START, special.length()).hex() + " | nop\nc3 | ret");

    assertRefused(15, code, START, Assembly.bytes(special)).contains("jmp");
  }

  @Test
  void rule15RefusesASiteInTheShadowOfMovSs() {
    CodeRegion code =
        code(
            """
            8e d0 | mov ss,eax
            66 90 | nop
            66 90 | nop
            """);

    assertRefused(15, code, START + 2, Assembly.ret()).contains("delays traps");
    planner.replace(code, START + 4, Assembly.ret());
  }

  @Test
  void rule15LetsARepeatedInstructionBeArmedBecauseItsRestCanRunElsewhere() {
    CodeRegion code = code("f3 a4 | rep movsb\nc3 | ret");

    PatchPlan plan = planner.arm(code, START, new TrapAction.Redirect(FAR));

    assertThat(plan.pokes().get(0).replacement()).isEqualTo(CodeBytes.ofHex("cc a4"));
  }

  @Test
  void rule16RefusesASiteInARestartableSequenceOrItsSignature() {
    long nop = NOP5;
    RseqSections.Section around = new RseqSections.Section(nop - 2, 3, FAR);
    RseqSections.Section signed = new RseqSections.Section(FAR, 16, nop + 8);
    RseqSections.Section behind = new RseqSections.Section(nop + 5, 16, nop + 9);
    RseqSections.Section before = new RseqSections.Section(nop - 2, 2, nop);

    assertRseqRefused(around, nop).contains("restartable sequence at 0x401002");
    assertRseqRefused(signed, nop).contains("abort handler 0x40100c");
    rseqPlanner(behind).replace(FUNCTION, nop, Assembly.jmp(FAR));
    rseqPlanner(before).replace(FUNCTION, nop, Assembly.jmp(FAR));
  }

  // Rules 18 and 19

  @Test
  void rule18RefusesASharedMapping() {
    CodeRegion shared = Listing.mapped(FUNCTION, Backing.SHARED);

    assertRefused(18, shared, NOP5, Assembly.jmp(FAR)).contains("mapped shared");
    planner.replace(Listing.mapped(FUNCTION, Backing.PRIVATE), NOP5, Assembly.jmp(FAR));
  }

  @Test
  void rule19RefusesABreakpointOfOthers() {
    CodeRegion code = code("90 | nop\ncc | int3\nc3 | ret");

    assertRefused(19, code, START + 1, Assembly.nop()).contains("not ours");
    assertThat(refusalOfArming(code, START + 1, new TrapAction.PassOn()).rule()).isEqualTo(19);
  }

  @Test
  void rule19RefusesToPlaceABreakpointWithoutArming() {
    assertRefused(19, FUNCTION, START, Assembly.bytes(CodeBytes.of(0xcc))).contains("arm the site");
  }

  @Test
  void rule19RefusesToArmTwiceOrToReplaceWhatIsArmed() {
    CodeRegion armed = Listing.patched(FUNCTION, NOP5, CodeBytes.ofHex("cc 1f 44 00 00"));

    assertThat(refusalOfArming(armed, NOP5, new TrapAction.PassOn()))
        .hasMessageContaining("armed a breakpoint there already")
        .extracting(PlanRefusedException::rule)
        .isEqualTo(19);
    assertRefused(19, armed, NOP5, Assembly.jmp(FAR)).contains("revert that patch first");
  }

  @Test
  void rule19RefusesATrapActionThatNeverEnds() {
    assertThat(refusalOfArming(FUNCTION, NOP5, new TrapAction.Rewind()))
        .hasMessageContaining("wait for ever");
    assertThat(refusalOfArming(FUNCTION, NOP5, new TrapAction.Redirect(NOP5)))
        .hasMessageContaining("into the site itself");
    assertThat(refusalOfArming(FUNCTION, NOP5, new TrapAction.Redirect(MOV7 + 2)))
        .hasMessageContaining("into the middle of");
  }

  @Test
  void leavesNothingBehind() {
    PlanRefusedException refused =
        catchThrowableOfType(
            PlanRefusedException.class, () -> planner.replace(FUNCTION, START, Assembly.jmp(FAR)));

    assertThat(refused.outcome()).isEqualTo(Outcome.UNTOUCHED);
    assertThat(refused.address()).isEqualTo(START);
    assertThat(refused.remedy()).isNotEmpty();
  }

  private AbstractStringAssert<?> assertRefused(
      int rule, CodeRegion code, long site, Assembly replacement) {
    return assertRefused(rule, planner, code, site, replacement);
  }

  private static AbstractStringAssert<?> assertRefused(
      int rule, X86Planner planner, CodeRegion code, long site, Assembly replacement) {
    PlanRefusedException refused =
        catchThrowableOfType(
            PlanRefusedException.class, () -> planner.replace(code, site, replacement));
    assertThat(refused).as("%s at 0x%x", replacement, site).isNotNull();
    assertThat(refused.rule()).as(refused.getMessage()).isEqualTo(rule);
    assertThat(refused.remedy()).as(refused.getMessage()).isNotEmpty();
    return assertThat(refused.getMessage());
  }

  private PlanRefusedException refusalOfArming(CodeRegion code, long site, TrapAction action) {
    PlanRefusedException refused =
        catchThrowableOfType(PlanRefusedException.class, () -> planner.arm(code, site, action));
    assertThat(refused).isNotNull();
    assertThat(refused.remedy()).isNotEmpty();
    return refused;
  }

  private AbstractStringAssert<?> assertBatchRefused(int rule, List<PatchPlan> plans) {
    PlanRefusedException refused =
        catchThrowableOfType(PlanRefusedException.class, () -> planner.batch(plans));
    assertThat(refused).isNotNull();
    assertThat(refused.rule()).as(refused.getMessage()).isEqualTo(rule);
    return assertThat(refused.getMessage());
  }

  private X86Planner rseqPlanner(RseqSections.Section section) {
    return planner.withRseq(new RseqSections(ImmutableList.of(section)));
  }

  private AbstractStringAssert<?> assertRseqRefused(RseqSections.Section section, long site) {
    return assertRefused(16, rseqPlanner(section), FUNCTION, site, Assembly.jmp(FAR));
  }
}
