package io.github.textpoke.unwind;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.PatchException.BadObjectException;
import io.github.textpoke.elf.CallFrames;
import io.github.textpoke.elf.ElfImage;
import io.github.textpoke.elf.Symbols;
import io.github.textpoke.elf.TestObjects;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.unwind.StackTrace.Complete;
import io.github.textpoke.unwind.StackTrace.Unknown;
import io.github.textpoke.unwind.Usage.Possible;
import io.github.textpoke.unwind.Usage.Untold;
import io.github.textpoke.unwind.Usage.Unused;
import io.github.textpoke.unwind.Usage.Used;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Stacks made by hand. */
final class UnwinderTest {
  private static final long SEED = 0x756e_7769_6e64_2121L;
  private static final int FLIPS = 1_000;
  private static final long BIAS = 0x40_0000;
  private static final long STACK = 0x70_0000;
  private static final int STACK_BYTES = 0x1000;
  private static final long OTHER_STACK = 0x90_0000;
  private static final MemoryMap MAP =
      MemoryMap.parse(
          """
          00700000-00701000 rw-p 00000000 00:00 0
          00900000-00901000 rw-p 00000000 00:00 0
          """);

  /** {@code start} calls {@code middle}, which has a frame pointer and calls {@code inner}. */
  private static final String FUNCTIONS =
      """
      .text
      .globl start, middle, inner, loops
      start:
      .cfi_startproc
      .cfi_undefined rip
      call middle
      after_start:
      hlt
      .cfi_endproc
      middle:
      .cfi_startproc
      push %rbp
      .cfi_adjust_cfa_offset 8
      .cfi_rel_offset %rbp, 0
      mov %rsp, %rbp
      .cfi_def_cfa_register %rbp
      call inner
      after_middle:
      ud2
      .cfi_endproc
      inner:
      .cfi_startproc
      ret
      .cfi_endproc
      loops:
      .cfi_startproc
      .cfi_def_cfa %rsp, 0
      .cfi_offset %rip, 8
      nop
      .cfi_endproc
      """;

  @TempDir static Path directory;

  private static CallFrames frames;
  private static Symbols symbols;

  private final FakeMemory memory =
      new FakeMemory().map(STACK, STACK_BYTES).map(OTHER_STACK, STACK_BYTES);

  @BeforeAll
  static void assemble() throws Exception {
    TestObjects.source(directory, "functions.s", FUNCTIONS);
    TestObjects.run(directory, "gcc", "-shared", "-nostdlib", "-o", "functions.so", "functions.s");
    ElfImage image = ElfImage.read(directory.resolve("functions.so"));
    frames = CallFrames.of(image);
    symbols = Symbols.of(image);
  }

  private static long at(String label) {
    return symbols.named(label).get(0).address() + BIAS;
  }

  private static Optional<CodeObjects.Loaded> object(long address) {
    return address >= BIAS && address < STACK
        ? Optional.of(new CodeObjects.Loaded(frames, BIAS))
        : Optional.empty();
  }

  private StackTrace unwind(OwnCode own, RegisterValues registers) {
    return new Unwinder(CallConvention.AMD64, UnwinderTest::object, own, memory).unwind(registers);
  }

  private static RegisterValues registers(long pc, long sp) {
    return RegisterValues.of(CallConvention.AMD64, pc, sp);
  }

  /** In {@code inner}, with rbp as {@code middle} has it. */
  private RegisterValues inInner(long pc) {
    memory.put(STACK + 0x100, at("after_middle"));
    memory.put(STACK + 0x118, at("after_start"));
    return new RegisterValues(pc, ImmutableMap.of(7, STACK + 0x100, 6, STACK + 0x110));
  }

  private static ImmutableList<Frame> callersOf(Frame inner) {
    return ImmutableList.of(
        inner,
        new Frame(at("after_middle"), true, OptionalLong.of(STACK + 0x120), false),
        new Frame(at("after_start"), true, OptionalLong.empty(), false));
  }

  private static Frame inner(long pc) {
    return new Frame(pc, false, OptionalLong.of(STACK + 0x108), false);
  }

  @Test
  void followsFramesToTheOneThatHasNoCaller() {
    StackTrace trace = unwind(OwnCode.NONE, inInner(at("inner")));
    assertThat(trace.frames()).isEqualTo(callersOf(inner(at("inner"))));
    assertThat(trace.end()).isEqualTo(new Complete());
  }

  @Test
  void aRegisterThatIsNotKnownMattersWhereItIsNeeded() {
    inInner(0);
    StackTrace trace = unwind(OwnCode.NONE, registers(at("inner"), STACK + 0x100));
    assertThat(trace.frames())
        .containsExactly(
            inner(at("inner")), new Frame(at("after_middle"), true, OptionalLong.empty(), false));
    assertThat(trace.end())
        .isEqualTo(
            new Unknown(
                at("after_middle"),
                STACK + 0x108,
                "it depends on register 6 (DWARF), whose value is not known"));
  }

  @Test
  void codeOfOursThatHasPushedReturnsAboveThat() {
    long ours = 0xa0_0000;
    RegisterValues registers = inInner(ours);
    OwnCode own =
        (pc, isReturnAddress) ->
            pc == ours ? Optional.of(new OwnCode.AtDepth(0x20)) : Optional.empty();
    StackTrace trace =
        unwind(
            own,
            new RegisterValues(ours, ImmutableMap.of(7, STACK + 0xe0, 6, STACK + 0x110, 0, 9L)));
    assertThat(registers.pc()).isEqualTo(ours);
    assertThat(trace.frames()).isEqualTo(callersOf(inner(ours)));
    assertThat(trace.isComplete()).isTrue();
  }

  @Test
  void aCopyHasTheStackOfWhatItIsACopyOf() {
    long copied = 0xa0_0000;
    memory.put(STACK + 0x100, copied);
    memory.put(STACK + 0x118, at("after_start"));
    OwnCode own =
        (pc, isReturnAddress) ->
            pc == copied && isReturnAddress
                ? Optional.of(new OwnCode.Like(at("after_middle")))
                : Optional.empty();
    StackTrace trace =
        unwind(
            own,
            new RegisterValues(at("inner"), ImmutableMap.of(7, STACK + 0x100, 6, STACK + 0x110)));
    assertThat(trace.frames().get(1))
        .isEqualTo(new Frame(copied, true, OptionalLong.of(STACK + 0x120), false));
    assertThat(trace.isComplete()).isTrue();
  }

  @Test
  void codeThatNobodyDescribesEndsATrace() {
    memory.put(STACK + 0x100, 0x1234);
    StackTrace trace = unwind(OwnCode.NONE, registers(at("inner"), STACK + 0x100));
    assertThat(trace.frames()).hasSize(2);
    assertThat(trace.end())
        .isEqualTo(new Unknown(0x1234, STACK + 0x108, "the code belongs to no object"));
  }

  @Test
  void aStackThatCantBeReadEndsATrace() {
    StackTrace trace = unwind(OwnCode.NONE, registers(at("inner"), STACK + STACK_BYTES));
    assertThat(trace.frames()).hasSize(1);
    assertThat(trace.end().toString()).contains("nothing is there");
  }

  @Test
  void aFrameThatDoesNotLieAboveTheOneItHasCalledEndsATrace() {
    memory.put(STACK + 0x108, at("loops") + 1);
    StackTrace trace = unwind(OwnCode.NONE, registers(at("loops"), STACK + 0x100));
    assertThat(trace.frames()).hasSize(1);
    assertThat(trace.end().toString()).contains("not above");
  }

  @Test
  void anObjectThatCantBeReadEndsATrace() {
    Unwinder unwinder =
        new Unwinder(
            CallConvention.AMD64,
            address -> {
              throw new BadObjectException("libbad.so", "was replaced");
            },
            OwnCode.NONE,
            memory);
    assertThat(unwinder.unwind(registers(at("inner"), STACK)).end())
        .isEqualTo(new Unknown(at("inner"), STACK, "libbad.so: was replaced"));
  }

  private Usage use(StackTrace trace, Extent... code) {
    return new StackUse(memory, MAP, List.of(code)).of(trace);
  }

  @Test
  void aCallThatIsTheLastOfItsCodeStillUsesIt() {
    StackTrace trace = unwind(OwnCode.NONE, inInner(at("inner")));
    long end = at("after_middle");
    assertThat(use(trace, new Extent(end - 5, 5))).isEqualTo(new Used(trace.frames().get(1)));
    assertThat(use(trace, new Extent(end, 2))).isEqualTo(new Unused(true));
    assertThat(use(trace, new Extent(at("inner"), 1))).isEqualTo(new Used(trace.frames().get(0)));
  }

  @Test
  void wordsFromTheLastKnownFrameOnCountAndNoneBelowIt() {
    memory.put(STACK + 0xf8, 0x50_0001);
    memory.put(STACK + 0x100, 0x1234);
    memory.put(STACK + STACK_BYTES - 8, 0x60_0000);
    StackTrace trace = unwind(OwnCode.NONE, registers(at("inner"), STACK + 0x100));
    assertThat(use(trace, new Extent(0x50_0000, 2))).isEqualTo(new Unused(false));
    assertThat(use(trace, new Extent(0x5f_fff0, 16), new Extent(1, 2)))
        .isEqualTo(
            new Possible(STACK + STACK_BYTES - 8, 0x60_0000, "the code belongs to no object"));
    assertThat(use(trace, new Extent(0x5f_fff0, 15))).isEqualTo(new Unused(false));
  }

  @Test
  void wordsOfTheStackThatASignalHasInterruptedCount() {
    memory.put(STACK + 0x100, 0x1234);
    // rsp, rip, flags and segments, as the kernel saves them
    memory.put(STACK + 0x200, OTHER_STACK + 0x800);
    memory.put(STACK + 0x208, 0x1234);
    memory.put(STACK + 0x210, 0x246);
    memory.put(STACK + 0x218, 0x002b_0000_0000_0033L);
    memory.put(OTHER_STACK + 0x7f8, 0x50_0000);
    memory.put(OTHER_STACK + 0x900, 0x60_0001);
    StackTrace trace = unwind(OwnCode.NONE, registers(at("inner"), STACK + 0x100));
    assertThat(use(trace, new Extent(0x50_0000, 2))).isEqualTo(new Unused(false));
    assertThat(use(trace, new Extent(0x60_0000, 2)))
        .isEqualTo(new Possible(OTHER_STACK + 0x900, 0x60_0001, "the code belongs to no object"));
  }

  @Test
  void aStackThatIsNotMappedTellsNothing() {
    StackTrace trace = unwind(OwnCode.NONE, registers(0x1234, 0x80_0000));
    assertThat(use(trace, new Extent(1, 2))).isInstanceOf(Untold.class);
  }

  /** Whatever the call frame information says, a trace comes back. */
  @Test
  void flippedBitsOfUnwindInformationNeverDoMoreThanEndATrace() throws Exception {
    byte[] bytes = Files.readAllBytes(directory.resolve("functions.so"));
    int section = indexOf(bytes);
    SplittableRandom random = new SplittableRandom(SEED);
    RegisterValues registers = inInner(at("inner"));
    int incomplete = 0;
    for (int i = 0; i < FLIPS; i++) {
      int at = section + random.nextInt(120);
      int bit = 1 << random.nextInt(8);
      bytes[at] ^= (byte) bit;
      CodeObjects objects =
          address ->
              object(address)
                  .map(
                      object ->
                          new CodeObjects.Loaded(
                              CallFrames.of(ElfImage.parse("flipped", ByteBuffer.wrap(bytes))),
                              BIAS));
      StackTrace trace =
          new Unwinder(CallConvention.AMD64, objects, OwnCode.NONE, memory).unwind(registers);
      incomplete += trace.isComplete() ? 0 : 1;
      bytes[at] ^= (byte) bit;
    }
    assertThat(incomplete).isBetween(FLIPS / 10, FLIPS - 1);
  }

  /** Where .eh_frame begins: a CIE of version 1 with the augmentation zR. */
  private static int indexOf(byte[] bytes) {
    for (int i = 0; ; i++) {
      if (bytes[i + 8] == 1 && bytes[i + 9] == 'z' && bytes[i + 10] == 'R' && bytes[i + 11] == 0) {
        return i;
      }
    }
  }
}
