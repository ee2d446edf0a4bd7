package io.github.textpoke.x86.plan;

import static io.github.textpoke.x86.plan.Listing.START;
import static io.github.textpoke.x86.plan.Listing.code;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.fixtures.PlanAssertions;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.encode.Assembly;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class X86PlannerTest {
  /** From {@link Listing#START} plus 1, the site, to this: a displacement of 0x1000 in a jmp. */
  private static final long TARGET = START + 1 + 5 + 0x1000;

  private final X86Planner planner = X86Planner.create();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          0f 1f 44 00 00          | jmp  | e9 00 10 00 00          | 5-byte NOP to jmp
          e9 00 10 00 00          | nop  | 0f 1f 44 00 00          | and back
          e8 00 20 00 00          | call | e8 00 10 00 00          | call to call
          ff 15 00 20 00 00       | call | 2e e8 ff 0f 00 00       | indirect call to call
          ff 94 24 00 01 00 00    | call | 2e 2e e8 fe 0f 00 00    | 7-byte call to padded call
          e8 00 20 00 00          | nop  | 0f 1f 44 00 00          | call to NOP
          74 01                   | nop  | 66 90                   | 2-byte jcc to NOP
          0f 84 00 01 00 00       | nop  | 66 0f 1f 44 00 00       | 6-byte jcc to NOP
          48 c7 c0 2a 00 00 00    | jmp  | e9 00 10 00 00 cc cc    | 7-byte mov to jmp and padding
          48 b8 01 00 00 00 00 00 00 00 | nop | 66 66 0f 1f 84 00 00 00 00 00 | 10-byte mov to NOP
          55                      | nop  | 90                      | a single byte
          55                      | ret  | c3                      | a single byte to ret
          48 89 e5                | ret  | c3 cc cc                | 3 bytes to ret and padding
          66 66 2e 0f 1f 84 00 00 00 00 00 | jmp | e9 00 10 00 00 cc cc cc cc cc cc | a long NOP
          0f 0b                   | nop  | 66 90                   | ud2 to NOP
          eb 00                   | nop  | 66 90                   | a short jmp to NOP
          """)
  void replacesOneInstructionByOne(String old, String replacement, String expected, String text) {
    CodeRegion code = code("90 | nop\n" + old + " | " + text + "\n90 | nop\nc3 | ret");

    PatchPlan plan = planner.replace(code, START + 1, assembly(replacement));

    Poke poke = plan.pokes().get(0);
    assertThat(plan.pokes()).hasSize(1);
    assertThat(poke.address()).isEqualTo(START + 1);
    assertThat(poke.site().bytes()).isEqualTo(CodeBytes.ofHex(old));
    assertThat(poke.oldLength()).isEqualTo(poke.length());
    assertThat(poke.replacement()).isEqualTo(CodeBytes.ofHex(expected));
    assertThat(poke.trapAction()).isEqualTo(new TrapAction.Rewind());
    assertSafe(plan);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "0f 1f 44 00 00",
        "0f 1f 44 12 34",
        "66 0f 1f 40 00",
        "66 66 0f 1f 00",
        "2e 2e 0f 1f 00",
        "66 66 66 66 90"
      })
  void knowsANopByDecodingWhateverItsEncoding(String nop) {
    CodeRegion code = code(nop + " | nop\nc3 | ret");

    assertThat(Decoded.flow(planner.decoder().decode(code, 0))).isEqualTo(Flow.NOP);
    assertSafe(planner.replace(code, START, Assembly.jmp(TARGET)));
  }

  @Test
  void placesACallAtTheEntryOfAFunction() {
    CodeRegion code = code("0f 1f 44 00 00 | nop\nc3 | ret");

    assertSafe(planner.replace(code, START, Assembly.call(TARGET)));
  }

  @Test
  void placesACallBehindTheEndbr64AtTheEntryOfAFunction() {
    CodeRegion code = code("f3 0f 1e fa | endbr64\n0f 1f 44 00 00 | nop\nc3 | ret");

    assertSafe(planner.replace(code, START + 4, Assembly.call(TARGET)));
  }

  @Test
  void replacesASiteBeforeDataAndPadding() {
    CodeRegion code = code("55 | push rbp\nc3 | ret\ncc cc | padding\n06 06 ff ff | data");

    assertSafe(planner.replace(code, START, Assembly.nop()));
  }

  @Test
  void letsABranchLeadToTheFirstByteOfTheSite() {
    CodeRegion code = code("0f 1f 44 00 00 | nop\neb f9 | jmp to the nop");

    assertSafe(planner.replace(code, START, Assembly.jmp(TARGET)));
    assertSafe(planner.replace(code, START, Assembly.jmp(START)));
  }

  @Test
  void replacesWhatWePutThereByWhatShallStandThereNow() {
    CodeRegion nop = code("90 | nop\n48 c7 c0 2a 00 00 00 | mov rax,42\nc3 | ret");
    CodeBytes jump = Assembly.jmp(TARGET).at(START + 1, 7);
    CodeRegion patched = Listing.patched(nop, START + 1, jump);

    PatchPlan plan = planner.replace(patched, START + 1, Assembly.nop());

    Poke poke = plan.pokes().get(0);
    assertThat(poke.site().bytes()).isEqualTo(jump);
    assertThat(poke.oldLength()).isEqualTo(5);
    assertThat(poke.replacement()).isEqualTo(Assembly.nop().at(START + 1, 7));
    assertSafe(plan);
  }

  @Test
  void placesACallAgainWhereItStoodBeforeOurPatch() {
    CodeRegion code = code("90 | nop\ne8 00 20 00 00 | call\nc3 | ret");
    CodeRegion patched = Listing.patched(code, START + 1, Assembly.nop().at(START + 1, 5));

    assertSafe(planner.replace(patched, START + 1, Assembly.call(TARGET)));
  }

  @Test
  void readsPastOurOwnPatchesAsTheyWereBefore() {
    CodeRegion code = code("48 89 e5 | mov rbp,rsp\n0f 1f 44 00 00 | nop\nc3 | ret");
    CodeRegion patched = Listing.patched(code, START, CodeBytes.ofHex("cc 89 e5"));

    assertSafe(planner.replace(patched, START + 3, Assembly.jmp(TARGET)));
  }

  @Test
  void armsABreakpointByTheFirstByteAlone() {
    CodeRegion code = code("0f 1f 44 00 00 | nop\nc3 | ret");
    TrapAction action = new TrapAction.Redirect(TARGET);

    PatchPlan plan = planner.arm(code, START, action);

    assertThat(plan.pokes().get(0).replacement()).isEqualTo(CodeBytes.ofHex("cc 1f 44 00 00"));
    assertThat(plan.pokes().get(0).trapAction()).isEqualTo(action);
    assertThat(plan.steps()).filteredOn(step -> step instanceof Step.SyncCores).hasSize(1);
    assertSafe(plan);
    assertSafe(planner.arm(code, START + 5, new TrapAction.PassOn()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"jmp", "nop", "ret"})
  void canBeUndoneFromEveryStep(String replacement) {
    CodeRegion code = code("90 | nop\n48 c7 c0 2a 00 00 00 | mov rax,42\nc3 | ret");

    PlanAssertions.assertThat(planner.replace(code, START + 1, assembly(replacement)))
        .canBeRolledBackFromEveryStep();
    PlanAssertions.assertThat(planner.arm(code, START + 1, new TrapAction.PassOn()))
        .canBeRolledBackFromEveryStep();
  }

  @Test
  void sharesTheSyncsOfABatchOfAnySize() {
    List<PatchPlan> plans =
        IntStream.range(0, 100)
            .mapToObj(i -> START + 0x100 * (99 - i))
            .map(at -> Listing.at(at, "0f 1f 44 00 00 | nop\nc3 | ret"))
            .map(code -> planner.replace(code, code.address(), Assembly.jmp(TARGET + 0x100_000)))
            .toList();

    PatchPlan batch = planner.batch(plans);

    assertThat(batch.pokes())
        .hasSize(100)
        .isSortedAccordingTo((a, b) -> Long.compareUnsigned(a.address(), b.address()));
    assertThat(batch.steps()).filteredOn(step -> step instanceof Step.SyncCores).hasSize(3);
  }

  /** Every offset of a line, the last line of a page included. */
  static LongStream offsets() {
    return LongStream.concat(LongStream.range(0, 64), LongStream.range(4096 - 64, 4096));
  }

  @ParameterizedTest
  @MethodSource("offsets")
  void plansASiteAtEveryOffsetOfALineAndAcrossAPage(long offset) {
    long site = 0x40_0000 + offset;
    CodeRegion code = Listing.at(site, "0f 1f 44 00 00 | nop\nc3 | ret");

    PatchPlan plan = planner.replace(code, site, Assembly.jmp(0x50_0000));

    SiteClass expected =
        offset > 4091
            ? SiteClass.STRADDLES_PAGE
            : offset % 64 > 59
                ? SiteClass.STRADDLES_LINE
                : offset % 8 > 3 ? SiteClass.IN_LINE : SiteClass.IN_QUADWORD;
    assertThat(SiteClass.of(plan.pokes().get(0).site())).isEqualTo(expected);
    assertThat(plan.steps())
        .filteredOn(step -> step instanceof Step.Write)
        .extracting(step -> (Step.Write) step)
        .allSatisfy(
            write ->
                assertThat(write.address() >>> 12)
                    .isEqualTo((write.address() + write.bytes().length() - 1) >>> 12));
    assertSafe(plan);
  }

  @Test
  void tellsWhichKindsOfPatchCanBeDone() {
    CodeRegion code = code("74 01 | je\n55 | push rbp\n0f 1f 44 00 00 | nop\nc3 | ret");

    assertThat(possible(code, START))
        .containsExactly(
            PatchOption.Kind.NOP,
            PatchOption.Kind.RETURN,
            PatchOption.Kind.SHORT_JUMP,
            PatchOption.Kind.BREAKPOINT);
    assertThat(possible(code, START + 3))
        .as("a NOP stands there already")
        .containsExactly(
            PatchOption.Kind.RETURN,
            PatchOption.Kind.SHORT_JUMP,
            PatchOption.Kind.JUMP,
            PatchOption.Kind.BREAKPOINT);
    assertThat(planner.options(code, START + 3))
        .filteredOn(option -> option.kind() == PatchOption.Kind.CALL)
        .singleElement()
        .satisfies(option -> assertThat(option.refusal().orElseThrow().rule()).isEqualTo(12));
    assertThat(possible(code, START + 4)).isEmpty();
  }

  @Test
  void disassemblesAndGoesOnBehindBytesThatAreNone() {
    ImmutableList<CodeLine> lines =
        planner.disassemble(code("55 | push rbp\n06 | none\n48 89 e5 | mov rbp,rsp\nc3 | ret"));

    assertThat(lines)
        .extracting(CodeLine::address)
        .containsExactly(START, START + 1, START + 2, START + 5);
    assertThat(lines).extracting(CodeLine::isInstruction).containsExactly(true, false, true, true);
    assertThat(lines).allSatisfy(line -> assertThat(line.text()).isNotEmpty());
  }

  @Test
  void aShortJumpIsAnOptionWhateverTheLengthsOfWhatFollows() {
    // Movs of 10 bytes behind the site: no fixed distance is a boundary for all sites.
    String listing =
        "89 f8 | mov eax, edi\n"
            + "48 b8 01 02 03 04 05 06 07 08 | mov rax, imm64\n".repeat(20)
            + "c3 | ret";
    CodeRegion code = code(listing);
    assertThat(planner.options(code, START))
        .filteredOn(option -> option.kind() == PatchOption.Kind.SHORT_JUMP)
        .singleElement()
        .satisfies(option -> assertThat(option.refusal()).isEmpty());
  }

  private List<PatchOption.Kind> possible(CodeRegion code, long site) {
    return planner.options(code, site).stream()
        .filter(PatchOption::isPossible)
        .map(PatchOption::kind)
        .toList();
  }

  private static Assembly assembly(String what) {
    return switch (what) {
      case "jmp" -> Assembly.jmp(TARGET);
      case "call" -> Assembly.call(TARGET);
      case "ret" -> Assembly.ret();
      case "nop" -> Assembly.nop();
      default -> throw new AssertionError(what);
    };
  }

  private static void assertSafe(PatchPlan plan) {
    PlanAssertions.assertThat(plan).isSafeInEveryInterleaving();
    PlanAssertions.assertThat(plan.inverse()).isSafeInEveryInterleaving();
    assertThat(plan.inverse().inverse()).isEqualTo(plan);
  }
}
