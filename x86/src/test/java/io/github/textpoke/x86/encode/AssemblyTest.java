package io.github.textpoke.x86.encode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.decode.TableDecoder;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AssemblyTest {
  private static final long AT = 0x40_1000;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          jmp  | 5  | e9 fb 0f 00 00
          jmp  | 7  | e9 fb 0f 00 00 cc cc
          call | 5  | e8 fb 0f 00 00
          call | 6  | 2e e8 fa 0f 00 00
          call | 8  | 2e 2e 2e e8 f8 0f 00 00
          ret  | 1  | c3
          ret  | 3  | c3 cc cc
          nop  | 1  | 90
          nop  | 2  | 66 90
          nop  | 5  | 0f 1f 44 00 00
          nop  | 9  | 66 0f 1f 84 00 00 00 00 00
          nop  | 11 | 66 66 66 0f 1f 84 00 00 00 00 00
          """)
  void encodesForALength(String what, int length, String expected) {
    Assembly assembly =
        switch (what) {
          case "jmp" -> Assembly.jmp(AT + 0x1000);
          case "call" -> Assembly.call(AT + 0x1000);
          case "ret" -> Assembly.ret();
          case "nop" -> Assembly.nop();
          default -> throw new AssertionError(what);
        };

    assertThat(assembly.at(AT, length)).isEqualTo(CodeBytes.ofHex(expected));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
  void aNopOfAnyLengthIsOneInstruction(int length) {
    Instruction nop = decode(Assembly.nop().at(AT, length));

    assertThat(nop.flow()).isEqualTo(Flow.NOP);
    assertThat(nop.length()).isEqualTo(length);
  }

  @ParameterizedTest
  @CsvSource({"2,129,eb 7f", "3,2,eb 00 cc", "4,-126,eb 80 cc cc"})
  void jumpsShortWhereThereIsNoRoomForMore(int length, int distance, String expected) {
    assertThat(Assembly.jmp(AT + distance).at(AT, length)).isEqualTo(CodeBytes.ofHex(expected));
  }

  @Test
  void needsFiveBytesForAJumpFurtherThanAByteReaches() {
    assertThat(Assembly.jmp(AT + 129).shortest(AT)).isEqualTo(2);
    assertThat(Assembly.jmp(AT + 130).shortest(AT)).isEqualTo(5);
    assertThat(Assembly.jmp(AT - 127).shortest(AT)).isEqualTo(5);
    assertRefused(7, Assembly.jmp(AT + 130), 4);
  }

  @Test
  void reachesTwoGibibytesAndNotAByteMore() {
    long highest = AT + 5 + Integer.MAX_VALUE;
    long lowest = AT + 5 + Integer.MIN_VALUE;

    assertThat(Assembly.jmp(highest).at(AT, 5)).isEqualTo(CodeBytes.ofHex("e9 ff ff ff 7f"));
    assertThat(Assembly.jmp(lowest).at(AT, 5)).isEqualTo(CodeBytes.ofHex("e9 00 00 00 80"));
    assertRefused(13, Assembly.jmp(highest + 1), 5);
    assertRefused(13, Assembly.jmp(lowest - 1), 5);
    assertRefused(13, Assembly.call(highest + 1), 5);
  }

  @Test
  void countsTheReachOfAPaddedCallFromTheEndOfTheSite() {
    assertThat(Assembly.call(AT + 7 + Integer.MAX_VALUE).at(AT, 7))
        .isEqualTo(CodeBytes.ofHex("2e 2e e8 ff ff ff 7f"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          31 c0             | 4  | 2e 2e 31 c0              | xor eax,eax
          48 89 c3          | 5  | 2e 2e 48 89 c3           | mov rbx,rax
          ff d0             | 3  | 2e ff d0                 | call rax
          2e 8b 03          | 5  | 2e 2e 2e 8b 03           | mov eax,cs:[rbx]
          c5 f8 77          | 4  | 2e c5 f8 77              | vzeroupper
          ff e0             | 5  | ff e0 cc cc cc           | jmp rax
          c2 08 00          | 5  | c2 08 00 cc cc           | ret 8
          0f 0b             | 4  | 0f 0b cc cc              | ud2
          e9 00 01 00 00    | 6  | e9 00 01 00 00 cc        | jmp rel32, as given
          e9 00 01 00 00 cc | 7  | e9 00 01 00 00 cc cc     | jmp rel32, padded already
          74 10             | 2  | 74 10                    | je rel8 where it fits
          8b 05 00 00 00 00 | 6  | 8b 05 00 00 00 00        | mov eax,[rip] where it fits
          """)
  void padsAGivenInstruction(String given, int length, String expected, String text) {
    assertThat(Assembly.bytes(CodeBytes.ofHex(given)).at(AT, length))
        .as(text)
        .isEqualTo(CodeBytes.ofHex(expected));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          74 10                   | 4  | branch hint           | je
          0f 84 10 00 00 00       | 7  | branch hint           | je rel32
          e2 10                   | 3  | branch hint           | loop
          64 8b 03                | 5  | segment override      | mov eax,fs:[rbx]
          65 48 8b 03             | 5  | segment override      | mov rax,gs:[rbx]
          3e ff d0                | 4  | segment override      | notrack call rax
          f3 0f 1e fa             | 6  | endbr64               | endbr64
          0f 05                   | 3  | kernel counts         | syscall
          cc                      | 2  | kernel counts         | int3
          c7 f8 00 00 00 00       | 7  | xbegin                | xbegin
          8b 05 00 00 00 00       | 7  | another address       | mov eax,[rip]
          e8 00 00 00 00          | 6  | another address       | call rel32
          """)
  void refusesPaddingThatWouldChangeTheInstruction(
      String given, int length, String reason, String text) {
    assertThatExceptionOfType(PlanRefusedException.class)
        .as(text)
        .isThrownBy(() -> Assembly.bytes(CodeBytes.ofHex(given)).at(AT, length))
        .satisfies(refused -> assertThat(refused.rule()).isEqualTo(3))
        .satisfies(refused -> assertThat(refused.remedy()).isNotEmpty())
        .withMessageContaining(reason);
  }

  @ParameterizedTest
  @ValueSource(strings = {"90 90", "31 c0 cc", "55 48 89 e5", "c3 90", "c3 cc 90"})
  void refusesMoreThanOneInstruction(String given) {
    assertRefused(11, Assembly.bytes(CodeBytes.ofHex(given)), 5);
  }

  @ParameterizedTest
  @ValueSource(strings = {"06", "0f", "e9 00 00", "66 e8 00 00 00 00"})
  void refusesWhatIsNoInstruction(String given) {
    assertRefused(4, Assembly.bytes(CodeBytes.ofHex(given)), 6);
  }

  @Test
  void refusesASiteThatIsTooShort() {
    assertRefused(7, Assembly.call(AT), 4);
    assertRefused(7, Assembly.bytes(CodeBytes.ofHex("48 89 c3")), 2);
  }

  @Test
  void whateverItEncodesDecodesAsOneInstructionAndPadding() {
    SplittableRandom random = new SplittableRandom(20261121);
    for (int i = 0; i < 20_000; i++) {
      long address = random.nextLong(1L << 47);
      long target = address + random.nextInt(-2_000_000_000, 2_000_000_000);
      Assembly jump = Assembly.jmp(target);
      int length = random.nextInt(5, 16);
      assertLeadsTo(target, Flow.JUMP, address, jump.at(address, length));
      assertLeadsTo(target, Flow.CALL, address, Assembly.call(target).at(address, length));
    }
  }

  private static void assertLeadsTo(long target, Flow flow, long address, CodeBytes bytes) {
    Instruction instruction = decode(address, bytes);
    assertThat(instruction.flow()).isEqualTo(flow);
    assertThat(instruction.directTarget()).hasValue(target);
    assertThat(bytes.slice(instruction.length(), bytes.length()))
        .isEqualTo(CodeBytes.filled(bytes.length() - instruction.length(), 0xcc));
    assertThat(flow == Flow.JUMP || instruction.length() == bytes.length()).isTrue();
  }

  private static void assertRefused(int rule, Assembly assembly, int length) {
    assertThatExceptionOfType(PlanRefusedException.class)
        .isThrownBy(() -> assembly.at(AT, length))
        .satisfies(refused -> assertThat(refused.rule()).isEqualTo(rule))
        .satisfies(refused -> assertThat(refused.address()).isEqualTo(AT))
        .satisfies(refused -> assertThat(refused.remedy()).isNotEmpty());
  }

  private static Instruction decode(CodeBytes bytes) {
    return decode(AT, bytes);
  }

  private static Instruction decode(long address, CodeBytes bytes) {
    CodeRegion region = CodeRegion.of("encoded", address, bytes);
    long decoded = new TableDecoder().decode(region, 0);
    assertThat(Decoded.isDecoded(decoded)).as("%s", bytes).isTrue();
    return Instruction.of(region, 0, decoded);
  }
}
