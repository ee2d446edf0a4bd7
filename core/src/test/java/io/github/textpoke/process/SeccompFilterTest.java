package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs programs that are written by hand, one struct sock_filter per long. */
final class SeccompFilterTest {
  private static final int MMAP = 9;
  private static final int CLONE = 56;
  private static final int MEMBARRIER = 324;

  private static final int AUDIT_ARCH_X86_64 = 0xc000003e;
  private static final int AUDIT_ARCH_I386 = 0x40000003;

  private static final int ALLOW = 0x7fff0000;
  private static final int ERRNO = 0x00050000;
  private static final int KILL_PROCESS = 0x80000000;
  private static final int KILL_THREAD = 0;

  /** Offsets in struct seccomp_data. */
  private static final int NR = 0;

  private static final int ARCH = 4;
  private static final int ADDRESS = 8;

  // Codes of linux/bpf_common.h.
  private static final int LD_ABS = 0x20;
  private static final int LD_IMM = 0x00;
  private static final int LD_MEM = 0x60;
  private static final int LD_LEN = 0x80;
  private static final int LDX_IMM = 0x01;
  private static final int LDX_MEM = 0x61;
  private static final int LDX_LEN = 0x81;
  private static final int ST = 0x02;
  private static final int STX = 0x03;
  private static final int JA = 0x05;
  private static final int JEQ = 0x15;

  /** Added to a jump or an operation: compare with, or operate on, X instead of k. */
  private static final int WITH_X = 0x08;

  private static final int TAX = 0x07;
  private static final int TXA = 0x87;
  private static final int NEG = 0x84;
  private static final int RET = 0x06;
  private static final int RET_A = 0x16;

  /** BPF_STMT and BPF_JUMP as the kernel lays them out. */
  private static long op(int code, int k, int ifTrue, int ifFalse) {
    return code | (long) ifTrue << 16 | (long) ifFalse << 24 | (long) k << 32;
  }

  private static long op(int code, int k) {
    return op(code, k, 0, 0);
  }

  private static SeccompFilter filter(long... program) {
    return new SeccompFilter(program);
  }

  private static int argument(int index, boolean highHalf) {
    return 16 + 8 * index + (highHalf ? 4 : 0);
  }

  @Test
  void allowsAllWhereTheFilterDoes() {
    SeccompFilter filter = filter(op(RET, ALLOW));
    assertThat(filter.allows(CLONE, 1, 2, 3)).isTrue();
    assertThat(filter.allows(-1)).isTrue();
    assertThat(filter.answer(CLONE)).isEqualTo("allows it");
  }

  @Test
  void keepsTheProgramAsItWasGiven() {
    long[] program = {op(RET, ALLOW)};
    SeccompFilter filter = new SeccompFilter(program);
    program[0] = op(RET, KILL_PROCESS);
    assertThat(filter.allows(CLONE)).isTrue();
  }

  @Test
  void killsOnCloneOnly() {
    SeccompFilter filter =
        filter(op(LD_ABS, NR), op(JEQ, CLONE, 0, 1), op(RET, KILL_PROCESS), op(RET, ALLOW));
    assertThat(filter.allows(CLONE)).isFalse();
    assertThat(filter.answer(CLONE)).isEqualTo("kills the process");
    assertThat(filter.allows(MMAP)).isTrue();
    assertThat(filter.allows(CLONE + 1)).isTrue();
  }

  @Test
  void answersErrnoToMembarrier() {
    SeccompFilter filter =
        filter(op(LD_ABS, NR), op(JEQ, MEMBARRIER, 0, 1), op(RET, ERRNO | 38), op(RET, ALLOW));
    assertThat(filter.allows(MEMBARRIER)).isFalse();
    assertThat(filter.answer(MEMBARRIER)).isEqualTo("answers errno 38");
    assertThat(filter.answer(MMAP)).isEqualTo("allows it");
  }

  @Test
  void runsAsForAnX8664Call() {
    long[] program = {
      op(LD_ABS, ARCH), op(JEQ, AUDIT_ARCH_X86_64, 1, 0), op(RET, KILL_PROCESS), op(RET, ALLOW)
    };
    assertThat(new SeccompFilter(program).allows(MMAP)).isTrue();
    program[1] = op(JEQ, AUDIT_ARCH_I386, 1, 0);
    assertThat(new SeccompFilter(program).allows(MMAP)).isFalse();
  }

  @Test
  void seesBothHalvesOfEachArgument() {
    long[] arguments = new long[6];
    for (int i = 0; i < 6; i++) {
      arguments[i] = (long) (0x80001000 + i) << 32 | (0x90002000L + i);
    }
    for (int i = 0; i < 6; i++) {
      for (boolean high : new boolean[] {false, true}) {
        int expected = (high ? 0x80001000 : 0x90002000) + i;
        SeccompFilter filter =
            filter(
                op(LD_ABS, argument(i, high)),
                op(JEQ, expected, 0, 1),
                op(RET, ALLOW),
                op(RET, KILL_THREAD));
        assertThat(filter.allows(MMAP, arguments)).isTrue();
        arguments[i] ^= high ? 1L << 32 : 1L;
        assertThat(filter.allows(MMAP, arguments)).isFalse();
        arguments[i] ^= high ? 1L << 32 : 1L;
      }
    }
  }

  @Test
  void argumentsThatAreNotGivenAreZero() {
    for (int offset : new int[] {argument(1, false), argument(5, true), ADDRESS, ADDRESS + 4}) {
      assertThat(filter(op(LD_ABS, offset), op(RET_A, 0)).answer(MMAP, 77))
          .isEqualTo("kills the thread");
    }
  }

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          # code, accumulator, k, jumps
          0x15,  5,  5, true
          0x15,  5,  6, false
          0x25,  6,  5, true
          0x25,  5,  5, false
          0x25, -1,  5, true
          0x25,  5, -1, false
          0x35,  5,  5, true
          0x35,  4,  5, false
          0x35, -2,  1, true
          0x35,  1, -2, false
          0x45,  6,  2, true
          0x45,  6,  9, false
          """)
  void jumpsCompareUnsigned(int code, int accumulator, int k, boolean jumps) {
    long[] tail = {op(RET, ALLOW), op(RET, KILL_PROCESS)};
    assertThat(filter(op(LD_IMM, accumulator), op(code, k, 0, 1), tail[0], tail[1]).allows(MMAP))
        .isEqualTo(jumps);
    assertThat(
            filter(
                    op(LD_IMM, accumulator),
                    op(LDX_IMM, k),
                    op(code | WITH_X, ~k, 0, 1),
                    tail[0],
                    tail[1])
                .allows(MMAP))
        .isEqualTo(jumps);
  }

  @Test
  void jumpsFarOnBothBranches() {
    long[] program = new long[2 + 256 + 1];
    Arrays.fill(program, op(RET, KILL_PROCESS));
    program[0] = op(LD_ABS, NR);
    program[1] = op(JEQ, CLONE, 255, 254);
    program[2 + 254] = op(RET, ERRNO | 1);
    program[2 + 255] = op(RET, ALLOW);
    assertThat(new SeccompFilter(program).answer(CLONE)).isEqualTo("allows it");
    assertThat(new SeccompFilter(program).answer(MMAP)).isEqualTo("answers errno 1");
  }

  @Test
  void jumpsAlways() {
    assertThat(
            filter(op(JA, 2), op(RET, KILL_PROCESS), op(RET, KILL_PROCESS), op(RET, ALLOW))
                .allows(MMAP))
        .isTrue();
  }

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          # code, accumulator, k, result
          0x04, 7, 5, 12
          0x14, 7, 5, 2
          0x24, 7, 5, 35
          0x34, 17, 5, 3
          0x34, -1, 0x10000000, 15
          0x44, 5, 3, 7
          0x54, 5, 3, 1
          0x64, 5, 3, 40
          0x74, 40, 3, 5
          0x74, -1, 28, 15
          0xa4, 5, 3, 6
          """)
  void computesInThirtyTwoBitsUnsigned(int code, int accumulator, int k, int result) {
    // The result is the errno that is answered.
    assertThat(
            filter(op(LD_IMM, accumulator), op(code, k), op(0x44, ERRNO), op(RET_A, 0))
                .answer(MMAP))
        .isEqualTo("answers errno " + result);
    assertThat(
            filter(
                    op(LD_IMM, accumulator),
                    op(LDX_IMM, k),
                    op(code | WITH_X, ~k),
                    op(0x44, ERRNO),
                    op(RET_A, 0))
                .answer(MMAP))
        .isEqualTo("answers errno " + result);
  }

  /** So does the kernel's interpreter: the program ends with 0. */
  @Test
  void divisionByZeroKillsTheThread() {
    assertThat(
            filter(op(LD_IMM, 7), op(LDX_IMM, 0), op(0x34 | WITH_X, 0), op(RET, ALLOW))
                .answer(MMAP))
        .isEqualTo("kills the thread");
  }

  @Test
  void keepsValuesInScratchMemoryAndInX() {
    assertThat(
            filter(
                    op(LD_IMM, ERRNO | 11),
                    op(ST, 15),
                    op(LDX_MEM, 15),
                    op(STX, 0),
                    op(LD_IMM, 0),
                    op(LD_MEM, 0),
                    op(TAX, 0),
                    op(LD_IMM, 0),
                    op(TXA, 0),
                    op(RET_A, 0))
                .answer(MMAP))
        .isEqualTo("answers errno 11");
  }

  @Test
  void negates() {
    assertThat(filter(op(LD_IMM, -(ERRNO | 2)), op(NEG, 0), op(RET_A, 0)).answer(MMAP))
        .isEqualTo("answers errno 2");
  }

  /** sizeof(struct seccomp_data). */
  @Test
  void theDataHasSixtyFourBytes() {
    assertThat(filter(op(LD_LEN, 0), op(0x44, ERRNO), op(RET_A, 0)).answer(MMAP))
        .isEqualTo("answers errno 64");
    assertThat(filter(op(LDX_LEN, 0), op(TXA, 0), op(0x44, ERRNO), op(RET_A, 0)).answer(MMAP))
        .isEqualTo("answers errno 64");
  }

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          # answer of the filter, in words, lets the call through
          0x7fff0000, allows it,           true
          0x7ffc0000, allows it,           true
          0x7fff1234, allows it,           true
          0x00050001, answers errno 1,     false
          0x00030000, sends SIGSYS,        false
          0x80000000, kills the process,   false
          0x00000000, kills the thread,    false
          0x7ff00000, asks a tracer,       false
          0x7fc00000, asks a supervisor,   false
          0x12340000, answers 0x12340000,  false
          """)
  void saysTheAnswerInWords(String answer, String words, boolean allowed) {
    SeccompFilter filter = filter(op(RET, Long.decode(answer).intValue()));
    assertThat(filter.answer(MMAP)).isEqualTo(words);
    assertThat(filter.allows(MMAP)).isEqualTo(allowed);
  }

  @Test
  void aProgramWithoutAnAnswerKills() {
    assertThat(filter().allows(MMAP)).isFalse();
    assertThat(filter(op(LD_ABS, NR)).answer(MMAP)).isEqualTo("kills the thread");
  }

  /** A load of one byte, which seccomp does not allow. */
  @Test
  void refusesAnInstructionThatSeccompHasNot() {
    assertThatThrownBy(() -> filter(op(0x30, 0), op(RET, ALLOW)).allows(MMAP))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("48");
  }
}
