package io.github.textpoke.x86.relocate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.Site;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.x86.decode.TableDecoder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is not displaced, and by which rule. */
final class RelocationRefusalsTest {
  private static final long SITE = 0x40_1000;
  private static final long COPY = 0x4040_1000;

  private static PlanRefusedException refusal(CodeRegion code, long site, int minimum, long copy) {
    return assertThatExceptionOfType(PlanRefusedException.class)
        .isThrownBy(() -> OutOfLineCopy.of(new TableDecoder(), code, site, minimum, copy))
        .satisfies(refused -> assertThat(refused.remedy()).isNotEmpty())
        .actual();
  }

  private static CodeRegion code(String hex) {
    return CodeRegion.of("f", SITE, CodeBytes.ofHex(hex));
  }

  @ParameterizedTest(name = "{0} by rule {1}: {3}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          74 01 31 c0 90             |  7 |     | a jump into the middle of xor
          90 90 90 eb ff             |  7 | 3   | a jump into the middle of itself
          e2 01 31 c0 90             |  7 |     | a loop into the middle of xor
          90 e8 fb ff ff ff          |  7 | 1   | call of the second byte, itself
          0f 1f 00 e8 fb ff ff ff    |  7 | 3   | call into the middle of nop
          ff d0 90 90 90             |  8 |     | call of a register that is not the last
          90 ff 50 08 90             |  8 | 1   | call through memory that is not the last
          ff d4 90 90 90             |  8 |     | call rsp, not the last either
          90 90 90 ff d4             |  8 | 3   | call rsp
          48 ff d4 90 90             |  8 |     | call rsp with REX.W, not the last either
          90 ff 54 24 f8             |  8 | 1   | call [rsp-8]: what the return address overwrites
          90 ff 54 24 f1             |  8 | 1   | call [rsp-15]: a byte of it is overwritten
          90 ff 54 24 ff             |  8 | 1   | call [rsp-1]: so are seven
          ff 94 24 ff ff ff 7f       |  8 |     | call [rsp+0x7fffffff] can't be 8 bytes further
          d9 e8 90 90 90             |  8 |     | fld1 notes its own address
          9b 90 90 90 90             |  8 |     | fwait is not boosted
          67 8d 00 90 90             |  8 |     | lea with a 67 prefix
          36 36 36 36 36 36 36 36 36 36 36 36 36 74 10 | 8 | | jz with 13 prefixes, too long with 32 bits
          f3 0f 1e fa 55 48 89 e5    | 14 |     | endbr64 at the entry
          90 90 f3 0f 1e fa          | 14 | 2   | endbr64 in the middle
          8e d0 90 90 90             | 15 |     | mov ss
          cd 80 90 90 90             | 15 |     | int 0x80
          90 f1 90 90 90             | 15 | 1   | int1
          0f 05 90 90 90             | 15 |     | syscall
          0f 34 90 90 90             | 15 |     | sysenter
          ff 28 90 90 90             | 15 |     | far jump
          ff 18 90 90 90             | 15 |     | far call
          cb 90 90 90 90             | 15 |     | far ret
          48 cf 90 90 90             | 15 |     | iretq
          f4 90 90 90 90             | 15 |     | hlt
          0f 0b 90 90 90             | 15 |     | ud2
          e4 10 90 90 90             | 15 |     | in
          ef 90 90 90 90             | 15 |     | out
          f3 6d 90 90 90             | 15 |     | rep ins
          fa 90 90 90 90             | 15 |     | cli
          e8 00 00 00 00             | 15 |     | call of what is behind it
          48 8d 05 f9 ff ff ff       | 15 |     | lea of its own address
          48 8b 05 fc ff ff ff       | 15 |     | mov from its own bytes
          90 48 ff 25 f8 ff ff ff    | 15 | 1   | jump through the displaced code
          ff 15 fa ff ff ff          | 15 |     | call through its own bytes
          c7 f8 00 00 00 00          | 15 |     | xbegin
          c6 f8 00 90 90             | 15 |     | xabort
          0f 01 d5 90 90             | 15 |     | xend
          f3 48 0f 1e c8             | 15 |     | rdsspq
          f3 48 0f ae e8             | 15 |     | incsspq
          f3 0f 01 e8 90             | 15 |     | setssbsy
          0f 38 f6 00 90             | 15 |     | wrss
          66 48 e9 00 01 00 00       | 15 |     | jmp with 66 and REX.W
          66 48 74 10 90             | 15 |     | jz with 66 and REX.W
          66 48 e2 10 90             | 15 |     | loop with 66 and REX.W
          66 48 e8 00 01 00 00       | 15 |     | call with 66 and REX.W
          90 66 48 ff e0             | 15 | 1   | indirect jump with 66 and REX.W
          90 66 48 ff d0             | 15 | 1   | indirect call with 66 and REX.W
          90 90 66 48 c3             | 15 | 2   | ret with 66 and REX.W
          90 cc 90 90 90             | 19 | 1   | int3
          c3                         |  9 |     | the code ends
          90 90 90 c3                |  9 |     | a byte too short, as Orbit's TooShort
          90 90 48 8b 05             |  9 | 2   | the last instruction does not end
          eb 03 90 90 90 c3          |  9 |     | NOPs that nobody reaches, as Orbit's UnconditionalJump8BitOffset
          90 c3 90 90 90             |  9 | 1   | ret, and what is behind it may be data
          ff e0 90 90 90             |  9 |     | an indirect jump, and perhaps its table
          06 90 90 90 90             |  1 |     | no instruction
          90 66 e9 00 00 00 00       |  1 | 1   | jmp with 66, read differently by vendors
          67 48 8b 05 00 01 00 00    |  1 |     | EIP-relative
          """)
  void isRefused(String hex, int rule, Integer offset, String what) {
    PlanRefusedException refused = refusal(code(hex), SITE, 5, COPY);

    assertThat(refused.rule()).as("%s: %s", what, refused.getMessage()).isEqualTo(rule);
    assertThat(refused.address()).isEqualTo(SITE + (offset == null ? 0 : offset));
  }

  @Test
  void endbr64AtTheEntryNamesTheSiteBehindIt() {
    assertThat(refusal(code("f3 0f 1e fa 55 48 89 e5"), SITE, 5, COPY).remedy())
        .isEqualTo("use the instruction behind it, at 0x401004 (+4)");
  }

  @Test
  void aSiteOutsideOrInTheMiddleOfAnInstructionIsRefusedByRule1() {
    CodeRegion code = code("55 48 89 e5 0f 1f 44 00 00 c3");

    assertThat(refusal(code, SITE + 2, 5, COPY))
        .returns(1, PlanRefusedException::rule)
        .returns("choose 0x401001 or 0x401004", PlanRefusedException::remedy);
    assertThat(refusal(code, code.end(), 5, COPY)).returns(1, PlanRefusedException::rule);
    assertThat(refusal(code, SITE - 1, 5, COPY)).returns(1, PlanRefusedException::rule);
  }

  @Test
  void aForeignBreakpointBeforeTheSiteMakesItsBoundaryUncertain() {
    assertThat(refusal(code("cc 0f 1f 44 00 00 c3"), SITE + 1, 5, COPY))
        .returns(1, PlanRefusedException::rule)
        .returns(SITE, PlanRefusedException::address);
  }

  @Test
  void aPatchOfOursInTheWayIsRefusedByRule7AndOneBeforeTheSiteIsReadAsItWas() {
    // push rbp; mov rbp, rsp; nop; nop; ret
    CodeBytes before = CodeBytes.ofHex("55 48 89 e5 0f 1f 44 00 00 0f 1f 44 00 00 c3");
    CodeBytes jump = CodeBytes.ofHex("e9 00 01 00 00");
    CodeRegion code =
        new CodeRegion(
            "f",
            SITE,
            before.with(4, jump),
            ImmutableSet.of(),
            ImmutableList.of(new Site(SITE + 4, before.slice(4, 9))),
            Backing.PRIVATE);

    assertThat(refusal(code, SITE + 1, 5, COPY)).returns(7, PlanRefusedException::rule);
    assertThat(refusal(code, SITE + 4, 5, COPY)).returns(7, PlanRefusedException::rule);
    OutOfLineCopy behind = OutOfLineCopy.of(new TableDecoder(), code, SITE + 9, 5, COPY);
    assertThat(behind.displaced()).isEqualTo(new Site(SITE + 9, before.slice(9, 14)));
  }

  @Test
  void anOperandIsReachedAcrossTwoGibibytesAndNoByteMore() {
    // mov rax, [rip+0x1000]; the copy's end is where the displacement and the jump back count from
    CodeRegion code = code64("48 8b 05 00 10 00 00");
    long operand = code.end() + 0x1000;
    long lowest = operand - Integer.MAX_VALUE - 7;
    long highest = code.end() - Integer.MIN_VALUE - 12;

    assertThat(of(code, lowest).address()).isEqualTo(lowest);
    assertThat(refusal(code, code.address(), 5, lowest - 1))
        .returns(13, PlanRefusedException::rule)
        .returns(code.address(), PlanRefusedException::address);
    assertThat(of(code, highest).address()).isEqualTo(highest);
    assertThat(refusal(code, code.address(), 5, highest + 1))
        .returns(13, PlanRefusedException::rule);
  }

  @ParameterizedTest
  @CsvSource({
    "e9 00 10 00 00, 5, 0x1005", // jmp
    "eb 10 90 90 90, 5, 0x12", // jmp, short
    "0f 84 00 f0 ff ff, 6, -0xffa", // jz; from above its target is further than the jump back's
  })
  void aBranchIsReachedAcrossTwoGibibytesAndNoByteMore(String hex, int length, String distance) {
    CodeRegion code = code64(hex);
    long target = code.address() + Long.decode(distance);
    boolean isJump = !hex.startsWith("0f");
    int minimum = isJump ? 1 : 5;
    long highest = target - Integer.MIN_VALUE - length;
    long lowest =
        isJump ? target - Integer.MAX_VALUE - length : code.end() - Integer.MAX_VALUE - 11;

    for (long reached : new long[] {lowest, highest}) {
      assertThat(
              OutOfLineCopy.of(new TableDecoder(), code, code.address(), minimum, reached)
                  .address())
          .isEqualTo(reached);
    }
    for (long missed : new long[] {lowest - 1, highest + 1}) {
      assertThat(refusal(code, code.address(), minimum, missed))
          .returns(13, PlanRefusedException::rule);
    }
  }

  private static CodeRegion code64(String hex) {
    return CodeRegion.of("f", 0x6012_3456_0000L, CodeBytes.ofHex(hex));
  }

  private static OutOfLineCopy of(CodeRegion code, long address) {
    return OutOfLineCopy.of(new TableDecoder(), code, code.address(), 5, address);
  }

  @Test
  void aTargetInTheOtherHalfOfTheAddressSpaceIsOutOfReach() {
    // Orbit AddressDifferenceAsInt32: the distance does not even fit 64 bits.
    CodeRegion code = CodeRegion.of("f", 0x1234_5678_1234_5678L, CodeBytes.ofHex("0f1f440000"));
    assertThat(refusal(code, code.address(), 5, 0xf234_5678_1234_5678L))
        .returns(13, PlanRefusedException::rule);
  }

  @Test
  void aCopyDoesNotOverlapTheSiteNorWrapAround() {
    CodeRegion code = code("0f 1f 44 00 00");
    for (long address : new long[] {SITE, SITE + 4, SITE - 9}) {
      assertThatIllegalArgumentException().isThrownBy(() -> of(code, address));
    }
    assertThat(of(code, SITE + 5).end()).isEqualTo(SITE + 15);
    assertThat(of(code, SITE - 10).end()).isEqualTo(SITE);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> of(CodeRegion.of("f", -0x100, CodeBytes.ofHex("0f1f440000")), -5));
  }
}
