package io.github.textpoke.x86.plan;

import static io.github.textpoke.fixtures.PlanAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.fixtures.InMemoryTarget;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.plan.Step.Evacuate;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** A jump over the first instructions of an assembled function. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class DisplacingTest {
  private static final long FUNCTION = 0x40_1000;
  private static final long COPY = 0x5040_0000;
  private static final long TARGET = 0x5000_0000;

  @TempDir Path directory;

  private final X86Planner planner = X86Planner.with(new TableDecoder());
  private CodeRegion code;
  private Entrances entrances;

  /** f is at {@link #FUNCTION}; its site is behind the endbr64, and has 8 bytes. */
  @BeforeEach
  void assemble() throws Exception {
    Compiled object =
        Compiled.of(
            directory,
            "f.s",
            """
            .text
            .type f, @function
            f: endbr64
              push %rbp
              mov %rsp, %rbp
              sub $0x10, %rsp
              movl $1, -4(%rbp)
              leave
              ret
            .size f, .-f
            """,
            "-shared");
    long bias = FUNCTION - object.address("f");
    code = object.function("f", bias);
    entrances = Entrances.of(object.image(), Symbols.NONE, bias);
  }

  private DisplacingPlan displace() {
    return planner.displace(code, FUNCTION + 4, TARGET, COPY, entrances);
  }

  @Test
  void sendsWhoStandsOnADisplacedInstructionToItsCopy() {
    DisplacingPlan displacing = displace();

    Poke poke = displacing.plan().pokes().get(0);
    assertThat(poke.site().bytes()).isEqualTo(CodeBytes.ofHex("55 48 89 e5 48 83 ec 10"));
    assertThat(poke.oldLength()).isEqualTo(8);
    assertThat(poke.replacement()).isEqualTo(CodeBytes.ofHex("e9 f7 ef bf 4f cc cc cc"));
    assertThat(poke.newLength()).isEqualTo(5);
    assertThat(displacing.copy().bytes())
        .isEqualTo(CodeBytes.ofHex("55 48 89 e5 48 83 ec 10 e9 ff 0f 00 b0"));
    assertThat(displacing.unentered())
        .hasValueSatisfying(proof -> assertThat(proof.to()).isEqualTo(FUNCTION + 12));
    assertThat(poke.trapAction()).isEqualTo(new TrapAction.Redirect(COPY));
    assertThat(displacing.plan())
        .hasSteps(
            "0x401004: 55 -> cc",
            "0x401005: 48 -> cc",
            "0x401008: 48 -> cc",
            "sync",
            "evacuate 0x401005 to 0x50400001, 0x401008 to 0x50400004",
            "0x401005: cc 89 e5 cc 83 ec 10 -> f7 ef bf 4f cc cc cc",
            "sync",
            "0x401004: cc -> e9",
            "sync");
  }

  @Test
  void isSafeThereAndBackAndFromEveryStep() {
    PatchPlan plan = displace().plan();

    assertThat(plan).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
    assertThat(plan.inverse()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
    assertThat(plan.inverse().inverse().equals(plan)).isTrue();
  }

  @Test
  void revertingPutsTheOldBytesBackWithoutAnEvacuationAndNeedsTheCopyStill() {
    PatchPlan plan = displace().plan();
    InMemoryTarget target =
        InMemoryTarget.of(code.address(), code.bytes())
            .standAt(FUNCTION + 4)
            .standAt(FUNCTION + 5)
            .standAt(FUNCTION + 8)
            .standAt(FUNCTION + 12);

    target.apply(plan);
    assertThat(target.threads()).containsExactly(FUNCTION + 4, COPY + 1, COPY + 4, FUNCTION + 12);
    assertThat(target.bytes(FUNCTION + 4, 8)).isEqualTo(CodeBytes.ofHex("e9 f7 ef bf 4f cc cc cc"));
    target.apply(plan.inverse());

    assertThat(target.bytes(FUNCTION, code.bytes().length())).isEqualTo(code.bytes());
    assertThat(plan.inverse().steps()).noneMatch(Evacuate.class::isInstance);
    assertThat(plan.inverse().pokes().get(0).trapAction())
        .as("who meets the breakpoint goes on in the copy")
        .isEqualTo(new TrapAction.Redirect(COPY));
  }

  @Test
  void withoutTheEvacuationItIsUnsafe() {
    assertThat(without(displace().plan(), Evacuate.class)).isUnsafeBecause("neither old nor new");
  }

  private static PatchPlan without(PatchPlan plan, Class<? extends Step> kind) {
    return new PatchPlan(
        plan.trapByte(),
        plan.pokes(),
        plan.steps().stream()
            .filter(step -> !kind.isInstance(step))
            .collect(ImmutableList.toImmutableList()));
  }

  @Test
  @RequiresZydis
  void theTableShowsTheOldInstructionsTheNewOneAndTheCopy() {
    X86Planner formatting = X86Planner.requiringZydis();
    DisplacingPlan displacing = formatting.displace(code, FUNCTION + 4, TARGET, COPY, entrances);

    assertThat(displacing.table(formatting.decoder()))
        .isEqualTo(
            """
            step  address            old bytes                new bytes                reads as                            why
            site  0x401004           55 48 89 e5 48 83 ec 10  e9 f7 ef bf 4f cc cc cc  push rbp => jmp 0x0000000050000000  who hits the breakpoint goes on at 0x50400000
                  0x401005           48 89 e5                                          mov rbp, rsp                        who stands there goes on in the copy at 0x50400001
                  0x401008           48 83 ec 10                                       sub rsp, 0x10                       who stands there goes on in the copy at 0x50400004
            1     0x401004           55                       cc                       breakpoint                          breakpoint on the first byte
            2     0x401005           48                       cc                       breakpoint                          breakpoint on a boundary inside
            3     0x401008           48                       cc                       breakpoint                          breakpoint on a boundary inside
            4     core sync                                                                                                no core can miss a breakpoint
            5     evacuate 0x401004                                                                                        no thread can stand inside
            6     0x401005           cc 89 e5 cc 83 ec 10     f7 ef bf 4f cc cc cc     breakpoint                          all but the first byte
            7     core sync                                                                                                no core can run a stale tail
            8     0x401004           cc                       e9                       jmp 0x0000000050000000              first byte
            9     core sync                                                                                                no core can run a stale breakpoint

            copy        bytes           reads as                why
            0x50400000  55              push rbp                does what stood at 0x401004
            0x50400001  48 89 e5        mov rbp, rsp            does what stood at 0x401005
            0x50400004  48 83 ec 10     sub rsp, 0x10           does what stood at 0x401008
            0x50400008  e9 ff 0f 00 b0  jmp 0x000000000040100C  back behind the site
            """);
  }

  @Test
  void theTableTellsTheKindOfWhatADecoderCantFormat() {
    assertThat(displace().table(planner.decoder()))
        .contains("next => jump 0x50000000")
        .endsWith(
            """

            copy        bytes           reads as       why
            0x50400000  55              next           does what stood at 0x401004
            0x50400001  48 89 e5        next           does what stood at 0x401005
            0x50400004  48 83 ec 10     next           does what stood at 0x401008
            0x50400008  e9 ff 0f 00 b0  jump 0x40100c  back behind the site
            """);
  }

  @Test
  void theTableSaysWhereAReturnAddressIsPushed() {
    // leave; call rax; four NOPs; ret
    CodeRegion calls = CodeRegion.of("f", FUNCTION, CodeBytes.ofHex("c9 ff d0 90 90 90 90 c3"));
    OutOfLineCopy copy = OutOfLineCopy.of(planner.decoder(), calls, FUNCTION + 1, 1, COPY);
    PatchPlan plan = planner.replace(calls, FUNCTION + 1, Assembly.nop());

    assertThat(new DisplacingPlan(plan, copy, Optional.empty()).table(planner.decoder()))
        .endsWith(
            """

            copy        bytes           reads as       why
            0x50400000  68 03 10 40 00  next           does what stood at 0x401001
            0x50400005  ff e0           indirect jump  does what stood at 0x401001, its return address pushed
            """);
  }

  @Test
  void oneInstructionWithRoomForTheJumpIsReplacedAndCopied() {
    long mov = FUNCTION + 12;
    DisplacingPlan one = planner.displace(code, mov, TARGET, COPY, entrances);

    assertThat(one.plan().equals(planner.replace(code, mov, Assembly.jmp(TARGET)))).isTrue();
    assertThat(one.plan().pokes().get(0).displaces()).isFalse();
    assertThat(one.copy().bytes().slice(0, 7)).isEqualTo(CodeBytes.ofHex("c7 45 fc 01 00 00 00"));
    assertThat(one.unentered()).isEmpty();
    assertThat(one.table(planner.decoder())).contains("does what stood at 0x40100c");
  }

  @Test
  void aNearTargetIsReachedByAShortJumpOverFewerInstructions() {
    DisplacingPlan near = planner.displace(code, FUNCTION + 4, FUNCTION + 12, COPY, entrances);

    assertThat(near.plan().pokes().get(0).site().bytes()).isEqualTo(CodeBytes.ofHex("55 48 89 e5"));
    assertThat(near.plan().pokes().get(0).replacement()).isEqualTo(CodeBytes.ofHex("eb 06 cc cc"));
    assertThat(near.plan()).isSafeInEveryInterleaving();
  }

  @Test
  void theJumpMayLeadToTheCopyItself() {
    DisplacingPlan loop = planner.displace(code, FUNCTION + 4, COPY, COPY, entrances);

    assertThat(loop.plan()).isSafeInEveryInterleaving();
  }

  @Test
  void aSiteThatWeDisplacedIsToBeRevertedBeforeItIsPatchedAgain() {
    DisplacingPlan displacing = displace();
    Poke poke = displacing.plan().pokes().get(0);
    CodeRegion patched = Listing.patched(code, poke.address(), poke.replacement());

    assertThat(patched.recovered().bytes()).isEqualTo(code.bytes());
    assertThatThrownBy(() -> planner.replace(patched, poke.address(), Assembly.nop()))
        .hasMessageContaining("rule 6")
        .hasMessageContaining("revert that patch first");
    // Behind it other sites are as they were.
    assertThat(planner.replace(patched, FUNCTION + 12, Assembly.jmp(TARGET)))
        .isSafeInEveryInterleaving();
  }

  @Test
  void displacingAndReplacingShareTheSyncsOfABatch() {
    PatchPlan other = planner.replace(code, FUNCTION + 12, Assembly.jmp(TARGET));

    PatchPlan batch = planner.batch(List.of(other, displace().plan()));

    assertThat(batch).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
    assertThat(batch.steps()).filteredOn(Step.SyncCores.class::isInstance).hasSize(3);
  }

  @Test
  void aPlanAndACopyOfOtherCodeAreNotPutTogether() {
    DisplacingPlan displacing = displace();
    DisplacingPlan near = planner.displace(code, FUNCTION + 4, FUNCTION + 12, COPY, entrances);
    OutOfLineCopy elsewhere =
        OutOfLineCopy.of(planner.decoder(), code, FUNCTION + 4, 5, COPY + 0x100);

    assertThatIllegalArgumentException()
        .isThrownBy(
            () -> new DisplacingPlan(displacing.plan(), near.copy(), displacing.unentered()));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new DisplacingPlan(displacing.plan(), elsewhere, displacing.unentered()));
    assertThatIllegalArgumentException()
        .isThrownBy(
            () -> new DisplacingPlan(displacing.plan(), displacing.copy(), Optional.empty()));
  }
}
