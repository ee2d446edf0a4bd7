package io.github.textpoke.x86.plan;

import static io.github.textpoke.fixtures.PlanAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.Iterables;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.elf.EhFrame;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.FunctionRange;
import io.github.textpoke.elf.Functions;
import io.github.textpoke.elf.LoadedBytes;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.flow.Compiled;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A jump over a function's entry behind whose first instruction another function leads. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class CompanionPlansTest {
  private static final long FUNCTION = 0x40_1000;
  private static final long COPY = 0x5040_0000;
  private static final long TARGET = 0x5000_0000;
  private static final String MEMPCPY = "mov %rdi, %rax\n add %rdx, %rax\n jmp inside";

  @TempDir Path directory;

  private final X86Planner planner = X86Planner.with(new TableDecoder());
  private Compiled object;
  private long bias;
  private CodeRegion f;
  private CodeRegion g;
  private Entrances entrances;
  private DisplacingPlan displacing;

  /** g, whose entry has the instructions given, and f, which begins as memmove does. */
  private void assemble(String entry, String others) throws Exception {
    object =
        Compiled.of(
            directory,
            "f.s",
            """
            .text
            .balign 64
            .type f, @function
            f: .cfi_startproc
              mov %%rdi, %%rax
            inside:
              cmp $0x40, %%rdx
              jb 1f
              ret
            1: nop
              ret
              .cfi_endproc
            .size f, .-f
            .balign 64
            .type g, @function
            g: .cfi_startproc
              %s
              .cfi_endproc
            .size g, .-g
            .balign 64
            %s
            """
                .formatted(entry, others),
            "-shared");
    bias = FUNCTION - object.address("f");
    f = object.function("f", bias);
    g = object.function("g", bias);
    entrances = Entrances.of(object.image(), Symbols.NONE, bias);
  }

  private Optional<CodeRegion> function(long address) {
    return object.symbols().startingIn(address - bias, address - bias + 1).stream()
        .map(symbol -> object.function(symbol.name(), bias))
        .findFirst();
  }

  private DisplacingPlan displace() {
    displacing = planner.displace(f, FUNCTION, TARGET, COPY, entrances, this::function);
    return displacing;
  }

  private PatchPlan memcpy() throws Exception {
    assemble(MEMPCPY, "");
    return displace().plan();
  }

  @Test
  void displacesBothEntriesInOnePlan() throws Exception {
    PatchPlan plan = memcpy();

    Companion companion = Iterables.getOnlyElement(displacing.companions());
    assertThat(companion.copy().displaced().bytes())
        .isEqualTo(CodeBytes.ofHex("48 89 f8 48 01 d0 eb bb"));
    long copy = companion.copy().address();
    assertThat(companion.copy().bytes().slice(0, 7))
        .isEqualTo(CodeBytes.ofHex("48 89 f8 48 01 d0 e9"));
    int displacement = (int) (COPY + 3 - (copy + 11));
    assertThat(companion.copy().bytes().slice(7, 11))
        .as("the jump leads to the copy of what it has led to")
        .isEqualTo(
            CodeBytes.of(
                displacement & 0xff,
                displacement >> 8 & 0xff,
                displacement >> 16 & 0xff,
                displacement >> 24 & 0xff));
    assertThat(companion.copy().bytes().length()).as("nothing goes on behind it").isEqualTo(11);
    assertThat(displacing.copies().slice((int) (copy - COPY), (int) (copy - COPY) + 11))
        .isEqualTo(companion.copy().bytes());
    assertThat(displacing.copies().length())
        .isLessThanOrEqualTo(DisplacingPlan.room(5, displacing.companions().size()));
    assertThat(plan.pokes()).extracting(Poke::address).containsExactly(FUNCTION, g.address());
    assertThat(plan.pokes()).extracting(Poke::length).containsExactly(7, 8);
    assertThat(plan)
        .hasSteps(
            "0x401000: 48 -> cc",
            "0x401040: 48 -> cc",
            "0x401003: 48 -> cc",
            "0x401043: 48 -> cc",
            "0x401046: eb -> cc",
            "sync",
            "evacuate 0x401003 to 0x50400003",
            "evacuate 0x401043 to 0x%x, 0x401046 to 0x%x".formatted(copy + 3, copy + 6),
            "0x401001: 89 f8 cc 83 fa 40 -> fb ef bf 4f cc cc",
            "0x401041: 89 f8 cc 01 d0 cc bb -> "
                + jump(g.address(), copy).slice(1, 5).hex()
                + " cc cc cc",
            "sync",
            "0x401000: cc -> e9",
            "0x401040: cc -> e9",
            "sync");
    assertThat(displacing.table(planner.decoder())).contains("does what stood at 0x401046");
  }

  private static CodeBytes jump(long from, long to) {
    return Assembly.jmp(to).at(from, 5);
  }

  @Test
  void isSafeThereAndBackAndFromEveryStep() throws Exception {
    PatchPlan plan = memcpy();

    assertThat(plan).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
    assertThat(plan.inverse()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
  }

  @Test
  void whoeverWalksThroughBothRunsNothingHalfThereAndBackAndAgain() throws Exception {
    PatchPlan plan = memcpy();
    Walkers walkers = walkers(plan, displacing.copies());

    for (int i = 0; i < 2; i++) {
      assertThat(walkers.during(plan.steps())).isEmpty();
      assertThat(walkers.during(plan.inverse().steps())).isEmpty();
    }
  }

  @Test
  void whoeverWalksThroughBothRunsNothingHalfWhereAPlanIsTakenBackFromAnyStep() throws Exception {
    PatchPlan there = memcpy();
    for (int done = 0; done <= there.steps().size(); done++) {
      Walkers walkers = walkers(there, displacing.copies());
      assertThat(walkers.during(there.steps().subList(0, done))).isEmpty();
      assertThat(walkers.during(PokeProtocol.rollback(there, done))).isEmpty();
      assertThat(walkers.during(there.steps())).isEmpty();
    }
    PatchPlan back = there.inverse();
    for (int done = 0; done <= back.steps().size(); done++) {
      Walkers walkers = walkers(there, displacing.copies());
      assertThat(walkers.during(there.steps())).isEmpty();
      assertThat(walkers.during(back.steps().subList(0, done))).isEmpty();
      assertThat(walkers.during(PokeProtocol.rollback(back, done))).isEmpty();
      assertThat(walkers.during(back.steps())).isEmpty();
    }
  }

  @Test
  void withoutTheCompanionAThreadRunsTheMiddleOfTheJump() throws Exception {
    PatchPlan plan = memcpy();
    PatchPlan alone = PatchPlan.of(X86Planner.INT3, List.of(plan.pokes().get(0)));

    assertThat(walkers(alone, displacing.copies()).during(alone.steps()))
        .hasValueSatisfying(wrong -> assertThat(wrong).contains("neither old nor new"));
  }

  @Test
  void ifTheCompanionsCopyLedToTheSiteAThreadWouldRunTheMiddleOfTheJump() throws Exception {
    PatchPlan plan = memcpy();
    OutOfLineCopy companion = displacing.companions().get(0).copy();
    OutOfLineCopy bent =
        OutOfLineCopy.of(planner.decoder(), g, g.address(), 8, companion.address());
    int at = (int) (companion.address() - COPY);
    CodeBytes copies = displacing.copies().with(at, bent.bytes());

    assertThat(walkers(plan, displacing.copies()).during(plan.steps())).isEmpty();
    assertThat(walkers(plan, copies).during(plan.steps()))
        .hasValueSatisfying(wrong -> assertThat(wrong).contains("neither old nor new"));
  }

  private Walkers walkers(PatchPlan plan, CodeBytes copies) {
    Walkers walkers = new Walkers(Set.of(f.address(), g.address()));
    walkers.put(f.address(), f.bytes());
    walkers.put(g.address(), g.bytes());
    walkers.put(COPY, copies);
    walkers.watch(plan);
    return walkers;
  }

  @Test
  void withoutTheFunctionItIsRefusedAsEver() throws Exception {
    assemble(MEMPCPY, "");

    assertThatThrownBy(() -> planner.displace(f, FUNCTION, TARGET, COPY, entrances))
        .asInstanceOf(InstanceOfAssertFactories.type(PlanRefusedException.class))
        .satisfies(
            refused -> {
              assertThat(refused.rule()).isEqualTo(7);
              assertThat(refused.address()).isEqualTo(g.address() + 6);
              assertThat(refused.reason()).endsWith("from another function");
            });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "endbr64; mov %rdi, %rax; add %rdx, %rax; jmp inside",
        "test %rdi, %rdi; mov %rdi, %rax; je inside; ret",
        "mov %rdi, %rax; je inside; add $1, %rax; jmp inside"
      })
  void isSafeWithOtherWaysInside(String entry) throws Exception {
    assemble(entry.replace(";", "\n"), "");

    assertThat(displace().plan()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
    Walkers walkers = walkers(displacing.plan(), displacing.copies());
    assertThat(walkers.during(displacing.plan().steps())).isEmpty();
    assertThat(walkers.during(displacing.plan().inverse().steps())).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "mov %rdi; %rax | call inside | ret, only a direct jump",
    "mov %rdi; %rax | lea inside(%rip); %rax | ret, only a direct jump",
    "mov %rdi; %rax | add %rdx; %rax | jmp inside+1, no instruction that is displaced begins",
    "movabs $1; %rax | movabs $1; %rdx | jmp inside, bytes behind the entry",
    ".byte 0xe9 | .long inside-.-4, it is the one instruction that leads there",
    "mov %rdi; %rax | 1: add %rdx; %rax | jno 1b | jmp inside, in the same function",
    "xor %eax; %eax | jmp inside | ret, control never goes on",
    "mov %rdi; %rax | syscall | jmp inside, system call",
  })
  void refusesWhatCantBeDisplacedTogether(String entry, String reason) throws Exception {
    assemble(entry.replace(";", ",").replace("|", "\n"), "");

    assertRefused(reason);
  }

  @Test
  void refusesACompanionOfACompanion() throws Exception {
    assemble(MEMPCPY, ".type h, @function\n h: mov %rdi, %rax\n jmp g+3\n .size h, .-h");

    assertRefused("from another function");
  }

  @Test
  void upToFourFunctionsMayLeadInsideAndNoMore() throws Exception {
    String more =
        ".type h%1$d, @function\n h%1$d: mov %%rdi, %%rax\n jmp inside\n .size h%1$d, .-h%1$d\n";
    String three = more.formatted(1) + more.formatted(2) + more.formatted(3);
    assemble(MEMPCPY, three);
    assertThat(displace().companions()).hasSize(Companion.MOST);
    assertThat(displacing.plan()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
    assertThat(entrances.functionsLeadingInside(FUNCTION, 7)).isEqualTo(Companion.MOST);

    assemble(MEMPCPY, three + more.formatted(4));
    assertRefused("more than 4 functions");
  }

  @Test
  void refusesACompanionThatIsPatched() throws Exception {
    assemble(MEMPCPY, "");
    CodeRegion patched = Listing.patched(g, g.address(), CodeBytes.ofHex("e9 00 00 00 10 cc"));

    assertThatThrownBy(
            () ->
                planner.displace(
                    f, FUNCTION, TARGET, COPY, entrances, address -> Optional.of(patched)))
        .hasMessageContaining("rule 7")
        .hasMessageContaining("our earlier patch");
  }

  private void assertRefused(String reason) {
    assertThatThrownBy(this::displace)
        .asInstanceOf(InstanceOfAssertFactories.type(PlanRefusedException.class))
        .satisfies(
            refused -> {
              assertThat(refused.rule()).isEqualTo(7);
              assertThat(refused.reason())
                  .contains("can't be displaced together with them")
                  .contains(reason);
              assertThat(refused.remedy()).isNotEmpty();
            });
  }

  @Test
  void theMemmovesOfTheCLibraryTakeTheirMempcpysAlong() throws IOException {
    ElfImage image = ElfImage.read(SharedLibrary.libc());
    Symbols symbols = Symbols.of(image);
    LoadedBytes loaded = LoadedBytes.of(image);
    Entrances ways = Entrances.of(image, symbols, 0);
    Map<Long, CodeRegion> functions = new TreeMap<>();
    for (FunctionRange range : Functions.of(image, symbols, EhFrame.of(image))) {
      functions.put(range.start(), CodeRegion.of("function", range.start(), loaded.code(range)));
    }
    List<DisplacingPlan> plans = new ArrayList<>();
    List<String> refusals = new ArrayList<>();
    for (CodeRegion code : functions.values()) {
      if (ways.functionsLeadingInside(code.address(), 7) > 0) {
        try {
          plans.add(
              planner.displace(
                  code,
                  code.address(),
                  TARGET,
                  COPY,
                  ways,
                  address -> Optional.ofNullable(functions.get(address))));
        } catch (PlanRefusedException refused) {
          refusals.add(refused.getMessage());
        }
      }
    }
    assertThat(plans)
        .as("besides %s", refusals)
        .filteredOn(plan -> !plan.companions().isEmpty())
        .hasSizeGreaterThan(5);
    for (DisplacingPlan plan : plans) {
      assertThat(plan.plan()).isSafeInEveryInterleaving().canBeRolledBackFromEveryStep();
      assertThat(plan.plan().inverse()).canBeRolledBackFromEveryStep();
    }
  }
}
