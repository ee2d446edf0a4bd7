package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.decode.TableDecoder;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.plan.SharedLibrary;
import java.io.IOException;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Relocates code that nobody wrote for the test, and reads the copies: the C library's. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class LibcRelocationTest {
  private static final int JUMP = 5;
  private static final long GIBIBYTE = 1L << 30;

  /** Longer functions are read over and over, once for each site, and add nothing. */
  private static final int LONGEST = 2_000;

  private final Map<Integer, Integer> refusals = new TreeMap<>();
  private int relocated;

  @Test
  @RequiresZydis
  void mostEntriesOfLibcRelocateAndTheirCopiesReadAsTheyDo() throws IOException {
    InstructionDecoder decoder = WitnessedDecoder.requireZydis();
    for (CodeRegion code : SharedLibrary.functions(SharedLibrary.libc())) {
      relocate(decoder, code, entry(decoder, code));
    }

    int refused = refusals.values().stream().mapToInt(Integer::intValue).sum();
    assertThat(relocated).as("%s refusals: %s", refused, refusals).isGreaterThan(9 * refused);
    assertThat(relocated).isGreaterThan(2_000);
    assertThat(refusals.keySet()).as("%s", refusals).isSubsetOf(1, 7, 8, 9, 15);
  }

  @Test
  void everyInstructionOfLibcIsRelocatedOrRefusedByARule() throws IOException {
    InstructionDecoder decoder = new TableDecoder();
    for (CodeRegion code : SharedLibrary.functions(SharedLibrary.libc())) {
      if (code.bytes().length() <= LONGEST) {
        for (int at = 0; at < code.bytes().length(); ) {
          int length = Decoded.length(decoder.decode(code, at));
          if (length == 0) {
            break;
          }
          relocate(decoder, code, code.address() + at);
          at += length;
        }
      }
    }

    int refused = refusals.values().stream().mapToInt(Integer::intValue).sum();
    assertThat(relocated).as("%s refusals: %s", refused, refusals).isGreaterThan(9 * refused);
    assertThat(relocated).isGreaterThan(100_000);
    assertThat(refusals.keySet()).as("%s", refusals).isSubsetOf(1, 7, 8, 9, 14, 15);
    assertThat(refusals).containsKeys(8, 9, 15);
  }

  private static long entry(InstructionDecoder decoder, CodeRegion code) {
    Instruction first = decoder.instruction(code, 0);
    boolean isPad = first.flow() == Flow.LANDING_PAD && first.end() != code.end();
    return isPad ? first.end() : code.address();
  }

  private void relocate(InstructionDecoder decoder, CodeRegion code, long site) {
    for (long distance : new long[] {GIBIBYTE, -GIBIBYTE}) {
      try {
        OutOfLineCopy copy = OutOfLineCopy.of(decoder, code, site, JUMP, site + distance);
        new CopyCheck(decoder, code, copy).check();
        relocated++;
      } catch (PlanRefusedException refused) {
        assertThat(refused.remedy()).as(refused.getMessage()).isNotEmpty();
        refusals.merge(refused.rule(), 1, Integer::sum);
      }
    }
  }

  /** Compares a copy, as decoders read it, with the code that it stands for. */
  private record CopyCheck(InstructionDecoder decoder, CodeRegion code, OutOfLineCopy copy) {
    void check() {
      CodeRegion fresh = CodeRegion.of("copy", copy.address(), copy.bytes());
      assertThat(copy.bytes().length()).isLessThanOrEqualTo(OutOfLineCopy.maxSize(JUMP));
      assertThat(copy.displacedLength()).isBetween(JUMP, JUMP - 1 + Instruction.MAX_LENGTH);
      assertThat(copy.boundaries()).containsEntry(copy.displaced().address(), copy.address());
      long old = copy.displaced().address();
      int at = 0;
      boolean goesOn = true;
      while (old != copy.displaced().end()) {
        Instruction before = decoder.instruction(code, code.offsetOf(old));
        assertThat(copy.boundaries()).containsEntry(old, copy.address() + at);
        ImmutableList<Instruction> after = read(fresh, at, parts(before));
        compare(before, after);
        at += after.stream().mapToInt(Instruction::length).sum();
        goesOn = !before.flow().endsFlow() && !isCall(before);
        old = before.end();
      }
      if (goesOn) {
        Instruction back = decoder.instruction(fresh, at);
        assertThat(back.flow()).isEqualTo(Flow.JUMP);
        assertThat(back.directTarget()).hasValue(copy.displaced().end());
        at += back.length();
      }
      assertThat(at).as("%s", copy).isEqualTo(copy.bytes().length());
    }

    private static boolean isCall(Instruction instruction) {
      return instruction.flow() == Flow.CALL || instruction.flow() == Flow.INDIRECT_CALL;
    }

    private static int parts(Instruction before) {
      boolean isShort = before.end() == (int) before.end();
      return before.flow() == Flow.COUNTER_JUMP ? 3 : isCall(before) ? (isShort ? 2 : 3) : 1;
    }

    private ImmutableList<Instruction> read(CodeRegion fresh, int from, int count) {
      ImmutableList.Builder<Instruction> read = ImmutableList.builder();
      int at = from;
      for (int i = 0; i < count; i++) {
        Instruction instruction = decoder.instruction(fresh, at);
        read.add(instruction);
        at += instruction.length();
      }
      return read.build();
    }

    private void compare(Instruction before, ImmutableList<Instruction> after) {
      Instruction first = after.get(0);
      Instruction last = after.get(after.size() - 1);
      assertThat(last.ripTarget()).isEqualTo(before.ripTarget());
      if (before.directTarget().isPresent()) {
        long target = before.directTarget().getAsLong();
        assertThat(last.directTarget())
            .hasValue(isCall(before) ? target : copy.boundaries().getOrDefault(target, target));
      }
      switch (before.flow()) {
        case CALL, INDIRECT_CALL -> {
          assertThat(first.bytes().at(0)).isEqualTo(0x68);
          assertThat(last.flow())
              .isEqualTo(before.flow() == Flow.CALL ? Flow.JUMP : Flow.INDIRECT_JUMP);
        }
        case COUNTER_JUMP -> {
          assertThat(first.flow()).isEqualTo(Flow.COUNTER_JUMP);
          assertThat(first.directTarget()).hasValue(last.address());
          assertThat(after.get(1).directTarget()).hasValue(last.end());
        }
        case CONDITIONAL_JUMP -> {
          assertThat(last.flow()).isEqualTo(Flow.CONDITIONAL_JUMP);
          assertThat(condition(last)).isEqualTo(condition(before));
        }
        default -> assertThat(last.flow()).isEqualTo(before.flow());
      }
      if (before.directTarget().isEmpty() && before.ripTarget().isEmpty() && !isCall(before)) {
        assertThat(first.bytes()).isEqualTo(before.bytes());
      }
    }

    private static int condition(Instruction branch) {
      return branch.bytes().at(Decoded.branchOffset(branch.decoded()) - 1) & 15;
    }
  }
}
