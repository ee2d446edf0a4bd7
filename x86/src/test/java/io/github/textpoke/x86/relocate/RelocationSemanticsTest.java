package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.relocate.CodePairs.Outcomes;
import io.github.textpoke.x86.relocate.CodePairs.Pages;
import io.github.textpoke.x86.relocate.CodePairs.Pair;
import io.github.textpoke.x86.relocate.CodePairs.State;
import io.github.textpoke.x86.relocate.CodePairs.Trace;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Stretch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The processor does the same with a copy as with the code that it stands for. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class RelocationSemanticsTest {
  private static final long GIBIBYTE = 1L << 30;
  private static final Pages HIGH = Pages.of(0x2a5a_9000_0000L, GIBIBYTE);

  /** Random codes for each place. */
  private static final int COUNT = 20_000;

  /** No flag, each alone, and all together with each other: CF, PF, AF, ZF, SF, OF. */
  private static final long[] FLAG_BITS = {0x1, 0x4, 0x10, 0x40, 0x80, 0x800};

  private static final ImmutableList<Long> COUNTERS =
      ImmutableList.of(
          0L, 1L, 2L, 3L, -1L, 0xffff_ffffL, 1L << 32, (1L << 32) + 1, 0x7fff_0000_0000_0002L);

  @TempDir static Path directory;

  private static CodePairs program;

  @BeforeAll
  static void compile() throws Exception {
    program = new CodePairs(directory);
  }

  /** A return address of 32 bits, one whose low half has a sign, and one as in a library. */
  static Stream<Pages> places() {
    return Stream.of(
        Pages.of(0x1000_0000L, GIBIBYTE),
        Pages.of(0x9000_0000L, -GIBIBYTE),
        HIGH,
        Pages.of(0x2a5a_1000_0000L, -GIBIBYTE));
  }

  @ParameterizedTest
  @MethodSource("places")
  void randomCodeAndItsCopyDoTheSameFromEveryBoundary(Pages pages) throws Exception {
    List<Pair> pairs = randomPairs(20261127 ^ pages.site(), pages, COUNT);

    ImmutableList<Outcomes> outcomes = run(pages, pairs);

    assertThat(outcomes).allMatch(Outcomes::agree);
    assertThat(outcomes.stream().filter(outcome -> outcome.old().isExit()).count())
        .as("runs that came to an exit")
        .isGreaterThan(pairs.size() * 9L / 10);
    assertThat(pairs.stream().filter(pair -> pair.copy().pushesReturnAddress()).count())
        .as("calls")
        .isGreaterThan(COUNT / 5);
  }

  @ParameterizedTest
  @MethodSource("places")
  void whoUnwindsByTheStretchesSeesTheStackOfTheOldCode(Pages pages) throws Exception {
    List<Pair> pairs = randomPairs(20261128 ^ pages.site(), pages, COUNT / 10);

    ImmutableList<Trace> traces = program.step(pages, pairs);

    assertThat(traces.stream().filter(Trace::isComplete).count())
        .isGreaterThan(pairs.size() * 9L / 10);
    for (Trace trace : traces) {
      if (trace.isComplete()) {
        assertThat(trace.unwoundSteps()).as("%s", trace).isEqualTo(trace.oldSteps());
      }
    }
  }

  @Test
  void aStretchThatForgetsTheReturnAddressIsNoticed() throws Exception {
    OutOfLineCopy right =
        copy(HIGH.site() + 0x400, CodeBytes.ofHex("55 e8 40 00 00 00"), HIGH, 0x123);
    ImmutableList<Stretch> forgetful =
        right.stretches().stream()
            .map(each -> new Stretch(each.address(), each.length(), each.old(), 0))
            .collect(ImmutableList.toImmutableList());
    OutOfLineCopy wrong =
        new OutOfLineCopy(
            right.address(), right.bytes(), right.displaced(), right.boundaries(), forgetful);

    ImmutableList<Trace> traces =
        program.step(HIGH, ImmutableList.of(new Pair(right, state()), new Pair(wrong, state())));

    assertThat(traces.get(0).unwoundSteps()).hasSize(2).isEqualTo(traces.get(0).oldSteps());
    assertThat(traces.get(1).unwoundSteps()).isNotEqualTo(traces.get(1).oldSteps());
  }

  @Test
  void conditionalJumpsGoTheSameWayInEveryStateOfTheFlags() throws Exception {
    List<Pair> pairs = new ArrayList<>();
    for (int condition = 0; condition < 16; condition++) {
      for (String hex :
          ImmutableList.of(
              "%02x 40 90 90 90".formatted(0x70 | condition),
              "%02x c0 90 90 90".formatted(0x70 | condition),
              "0f %02x 40 01 00 00".formatted(0x80 | condition),
              // Around an inc rax, inside of the displaced code.
              "%02x 03 48 ff c0 90".formatted(0x70 | condition))) {
        everyFlagState().forEach(flags -> pairs.add(pair(hex, state().withFlags(flags))));
      }
    }

    ImmutableList<Outcomes> outcomes = run(HIGH, pairs);

    assertThat(outcomes).hasSize(16 * 4 * 64).allMatch(Outcomes::agree);
    assertThat(outcomes).allMatch(outcome -> outcome.old().isExit());
    for (int condition = 0; condition < 16; condition++) {
      List<Outcomes> one = outcomes.subList(condition * 256, condition * 256 + 64);
      assertThat(one.stream().map(outcome -> outcome.copy().rip()).distinct())
          .as("taken and not taken: condition %s", condition)
          .hasSize(2);
    }
  }

  @ParameterizedTest
  @CsvSource({"e0", "e1", "e2", "e3", "67 e0", "67 e1", "67 e2", "67 e3"})
  void loopsCountAndDecideAsTheyDid(String opcode) throws Exception {
    List<Pair> pairs = new ArrayList<>();
    for (long counter : COUNTERS) {
      for (long flags : new long[] {0, 0x40, 0x8d5, 0x895}) {
        State state = state().with(CodePairs.RCX, counter).withFlags(flags);
        pairs.add(pair(opcode + " 40 48 ff c0", state)); // out, else inc rax
        pairs.add(pair(opcode + " c0 48 ff c0", state)); // out, backwards
        pairs.add(pair(opcode + " 03 48 ff c0 90", state)); // over inc rax, to a boundary
      }
    }
    if (!opcode.endsWith("e3")) {
      int length = opcode.length() / 3 + 2;
      String back = " %02x".formatted(-(length + 3) & 0xff);
      for (long counter : new long[] {1, 2, 3, 100}) {
        State state = state().with(CodePairs.RCX, counter);
        pairs.add(pair("48 ff c0 " + opcode + back, state)); // inc rax, again and again
        pairs.add(pair("48 8d 40 01 " + opcode + " %02x".formatted(-(length + 4) & 0xff), state));
      }
    }

    ImmutableList<Outcomes> outcomes = run(HIGH, pairs);

    assertThat(outcomes).allMatch(Outcomes::agree).allMatch(outcome -> outcome.old().isExit());
    assertThat(outcomes.stream().map(outcome -> outcome.copy().rip()).distinct())
        .as("ways out")
        .hasSizeGreaterThan(2);
  }

  @Test
  void aLoopOverTheFirstByteRunsAsOften() throws Exception {
    List<Pair> pairs = new ArrayList<>();
    for (long count : new long[] {1, 2, 77}) {
      pairs.add(pair("ff c8 75 fc 90", state().with(CodePairs.RAX, count)));
    }

    ImmutableList<Outcomes> outcomes = run(HIGH, pairs);

    assertThat(outcomes).allMatch(Outcomes::agree);
    assertThat(outcomes).allMatch(outcome -> outcome.copy().registers().get(CodePairs.RAX) == 0);
  }

  @ParameterizedTest
  @MethodSource("places")
  void aCalleeFindsTheOldReturnAddressAndAnUntouchedStack(Pages pages) throws Exception {
    List<Pair> pairs = new ArrayList<>();
    State state = new RandomSite(new SplittableRandom(1), pages).state().withFlags(0x8d5);
    for (String call :
        ImmutableList.of(
            "e8 40 00 00 00", // call
            "41 ff d5", // call r13
            "41 ff 54 24 08", // call [r12+8]
            "ff 14 24", // call [rsp]
            "ff 54 24 78", // call [rsp+120]
            "ff 54 24 f0")) { // call [rsp-16]
      OutOfLineCopy copy =
          copy(pages.site() + 0x400, CodeBytes.ofHex(call), pages, pairs.size() * 3);
      pairs.add(new Pair(copy, state));
    }

    ImmutableList<Outcomes> outcomes = run(pages, pairs);

    assertThat(outcomes).allMatch(Outcomes::agree).allMatch(outcome -> outcome.old().isExit());
    for (Outcomes outcome : outcomes) {
      long before = outcome.pair().state().registers().get(CodePairs.RSP);
      assertThat(outcome.copy().registers().get(CodePairs.RSP)).isEqualTo(before - 8);
      assertThat(outcome.copy().flags()).isEqualTo(0x8d5);
    }
  }

  /** What the comparison is worth: each is a copy that one bit makes wrong. */
  @ParameterizedTest(name = "{3}")
  @CsvSource({
    "74 40 90 90 90, 1, 0x01, the opposite condition",
    "74 40 90 90 90, 2, 0x04, another target",
    "74 03 48 ff c0 90, 2, 0x01, a target inside the copy",
    "e2 40 90 90 90, 0, 0x01, loop that is jrcxz",
    "e2 40 90 90 90, 1, 0x01, loop into its own jump",
    "67 e2 40 90 90, 0, 0x01, loop of rcx and not of ecx",
    "e8 40 00 00 00, 1, 0x01, the low half of the return address",
    "e8 40 00 00 00, 9, 0x01, the high half",
    "e8 40 00 00 00, 8, 0x04, the high half elsewhere",
    "e8 40 00 00 00, 14, 0x04, another callee",
    "ff 14 24 90 90, 16, 0x08, call through a slot beside",
    "48 8d 05 00 01 00 00, 3, 0x01, an operand beside",
    "48 0f af c2 90, 3, 0x01, another register",
    "48 0f af c2 90, 4, 0x01, a jump back to elsewhere",
    "55 90 90 90 90, 0, 0x01, another register on the stack",
  })
  void aWrongCopyIsNoticed(String hex, int at, int flip, String what) throws Exception {
    boolean isCall = hex.startsWith("e8") || hex.startsWith("ff 14");
    String code = hex.startsWith("ff 14") ? "ff 14 24" : hex;
    CodeBytes bytes = CodeBytes.ofHex(code);
    OutOfLineCopy right = copy(HIGH.site() + 0x400, bytes, HIGH, 0x123);
    assertThat(right.pushesReturnAddress()).isEqualTo(isCall);
    CodeBytes flipped = CodeBytes.of(right.bytes().at(at) ^ flip);
    OutOfLineCopy wrong =
        new OutOfLineCopy(
            right.address(),
            right.bytes().with(at, flipped),
            right.displaced(),
            right.boundaries(),
            right.stretches());
    List<Pair> rights = new ArrayList<>();
    List<Pair> wrongs = new ArrayList<>();
    for (long counter : new long[] {1, 2, (1L << 32) + 1}) {
      for (long flags : new long[] {0, 0x40}) {
        State state = state().with(CodePairs.RCX, counter).withFlags(flags);
        rights.add(new Pair(right, state));
        wrongs.add(new Pair(wrong, state));
      }
    }

    assertThat(run(HIGH, rights)).allMatch(Outcomes::agree);
    assertThat(run(HIGH, wrongs)).as(what).anyMatch(pair -> !pair.agree());
  }

  /** Random codes with their copies, entered at the first byte or at any boundary. */
  private static List<Pair> randomPairs(long seed, Pages pages, int count) {
    SplittableRandom random = new SplittableRandom(seed);
    List<Pair> pairs = new ArrayList<>();
    Map<Integer, Integer> refusals = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      RandomSite site = new RandomSite(random, pages);
      try {
        OutOfLineCopy copy = copy(site.address, site.bytes, pages, random.nextInt(0x800));
        ImmutableList<Long> boundaries = copy.boundaries().keySet().asList();
        long entry = boundaries.get(random.nextInt(boundaries.size()));
        pairs.add(new Pair(copy, site.state(), random.nextBoolean() ? site.address : entry));
      } catch (PlanRefusedException refused) {
        refusals.merge(refused.rule(), 1, Integer::sum);
      }
    }
    assertThat(pairs.size()).as("refusals: %s", refusals).isGreaterThan(count * 95 / 100);
    return pairs;
  }

  private static ImmutableList<Outcomes> run(Pages pages, List<Pair> each) throws Exception {
    return program.run(pages, each);
  }

  private static Pair pair(String hex, State state) {
    CodeBytes bytes = CodeBytes.ofHex(hex);
    return new Pair(copy(HIGH.site() + 0x400, bytes, HIGH, 0x123), state);
  }

  private static OutOfLineCopy copy(long address, CodeBytes bytes, Pages pages, int offset) {
    CodeRegion code = CodeRegion.of("f", address, bytes);
    return OutOfLineCopy.of(
        new TableDecoder(), code, address, bytes.length(), pages.copy() + offset);
  }

  private static State state() {
    return new RandomSite(new SplittableRandom(7), HIGH).state();
  }

  private static List<Long> everyFlagState() {
    List<Long> states = new ArrayList<>();
    for (int choice = 0; choice < 1 << FLAG_BITS.length; choice++) {
      long flags = 0;
      for (int bit = 0; bit < FLAG_BITS.length; bit++) {
        flags |= (choice >> bit & 1) * FLAG_BITS[bit];
      }
      states.add(flags);
    }
    return Collections.unmodifiableList(states);
  }
}
