package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.decode.Undecodable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What every decoder of x86-64 must do. One subclass per decoder. */
abstract class InstructionDecoderContract {
  static final long ADDRESS = 0x401000;

  private final InstructionDecoder decoder = decoder();

  abstract InstructionDecoder decoder();

  static CodeRegion code(String hex) {
    return CodeRegion.of("test", ADDRESS, CodeBytes.ofHex(hex));
  }

  private long decode(String hex) {
    return decoder.decode(code(hex), 0);
  }

  @ParameterizedTest(name = "{0} is {1}")
  @CsvSource({
    "90,NOP",
    "66 90,NOP",
    "48 90,NOP",
    "0f 1f 44 00 00,NOP",
    "66 2e 0f 1f 84 00 00 00 00 00,NOP",
    "0f 1f c0,NOP",
    "0f 1f 05 00 00 00 00,NOP",
    "41 90,NEXT", // xchg r8d,eax
    "f3 90,NEXT", // pause
    "0f 1e c0,NEXT", // a reserved NOP that became CET
    "0f 0d 08,NEXT", // prefetchw
    "0f 18 08,NEXT", // prefetcht0
    "f3 0f 1e fa,LANDING_PAD",
    "eb 10,JUMP",
    "e9 10 00 00 00,JUMP",
    "74 10,CONDITIONAL_JUMP",
    "0f 84 10 00 00 00,CONDITIONAL_JUMP",
    "2e 74 10,CONDITIONAL_JUMP", // with a branch hint
    "e2 fe,COUNTER_JUMP",
    "e3 10,COUNTER_JUMP",
    "67 e3 10,COUNTER_JUMP",
    "e8 00 00 00 00,CALL",
    "66 66 48 e8 00 00 00 00,CALL", // __tls_get_addr: REX.W outranks 66
    "ff e0,INDIRECT_JUMP",
    "3e ff e0,INDIRECT_JUMP", // notrack
    "ff 25 00 00 00 00,INDIRECT_JUMP",
    "ff d0,INDIRECT_CALL",
    "ff 15 00 00 00 00,INDIRECT_CALL",
    "c3,RETURN",
    "f3 c3,RETURN",
    "f2 c3,RETURN", // bnd
    "c2 08 00,RETURN",
    "cb,FAR",
    "48 cf,FAR",
    "ff 28,FAR",
    "ff 18,FAR",
    "0f 05,SYSTEM_CALL",
    "0f 34,SYSTEM_CALL",
    "cd 80,INTERRUPT",
    "f1,INTERRUPT",
    "cd 03,INTERRUPT",
    "cc,BREAKPOINT",
    "c7 f8 00 00 00 00,TRANSACTION",
    "0f 0b,FAULT",
    "0f b9 c0,FAULT",
    "0f ff c0,FAULT",
    "f4,FAULT",
    "0f 07,FAULT",
    "55,NEXT",
    "8e d0,NEXT",
    "f3 48 ab,NEXT",
    "f0 48 0f b1 0f,NEXT",
    "48 b8 01 02 03 04 05 06 07 08,NEXT",
    "66 b8 01 02,NEXT",
    "48 a1 01 02 03 04 05 06 07 08,NEXT",
    "67 a1 01 02 03 04,NEXT",
    "c8 10 00 01,NEXT",
    "f6 c1 01,NEXT",
    "f6 d1,NEXT",
    "66 f7 c1 01 02,NEXT",
    "48 8b 04 25 01 02 03 04,NEXT",
    "48 8b 44 24 08,NEXT",
    "d9 c0,NEXT",
    "f2 0f 10 45 08,NEXT",
    "66 0f 38 00 c1,NEXT",
    "66 0f 3a 0f c1 08,NEXT",
    "c5 fc 77,NEXT", // vzeroall
    "c5 f8 58 c1,NEXT",
    "c4 e2 7d 58 c1,NEXT", // vpbroadcastd
    "c4 e3 7d 46 c1 31,NEXT", // vperm2i128 with vvvv
    "62 f1 7c 48 58 c1,NEXT", // vaddps zmm
    "62 f1 fe 28 6f 06,NEXT", // vmovdqu64
    "62 f3 7d 28 3f c1 00,NEXT", // vpcmpb
    "0f c7 f0,NEXT", // rdrand
    "0f 01 d0,NEXT" // xgetbv
  })
  void readsWholeInstructions(String hex, Flow flow) {
    long decoded = decode(hex + "cc".repeat(15));
    assertThat(Decoded.isDecoded(decoded)).as("decoded").isTrue();
    assertThat(Decoded.length(decoded)).as("length").isEqualTo(CodeBytes.ofHex(hex).length());
    assertThat(Decoded.flow(decoded)).as("flow").isEqualTo(flow);
  }

  @ParameterizedTest(name = "{0} is refused: {1}")
  @CsvSource({
    "06,UNKNOWN", // push es: not in 64-bit mode
    "d5 00 00,UNKNOWN", // aad, REX2 of APX
    "82 c0 00,UNKNOWN",
    "9a 00 00 00 00 00 00,UNKNOWN",
    "8d c0,UNKNOWN", // lea of a register
    "ff f8,UNKNOWN", // group 5, /7
    "fe d0,UNKNOWN",
    "c6 08 00,UNKNOWN",
    "8e c8,UNKNOWN", // mov cs
    "f0 90,UNKNOWN", // lock without memory
    "f0 01 c0,UNKNOWN",
    "f0 8b 00,UNKNOWN", // lock of a load
    "f0 80 38 00,UNKNOWN", // lock cmp
    "0f 0f c0 b4,UNKNOWN", // 3DNow!
    "0f 24 c0,UNKNOWN",
    "0f 20 c8,UNKNOWN", // cr1
    "44 0f 20 c8,UNKNOWN", // cr9
    "0f c7 c8,UNKNOWN", // cmpxchg8b of a register
    "66 c5 f8 58 c1,UNKNOWN", // VEX behind 66
    "48 c5 f8 58 c1,UNKNOWN", // VEX behind REX
    "f0 c5 f8 58 01,UNKNOWN", // VEX behind lock
    "c5 f0 10 c1,UNKNOWN", // vmovups with vvvv
    "c4 e2 79 1a 00,UNKNOWN", // vbroadcastf128 with L 0
    "c4 e0 79 58 c1,UNKNOWN", // map 0
    "62 f9 7c 48 58 c1,UNKNOWN", // reserved bit of EVEX
    "62 f1 7c 68 58 01,UNKNOWN", // L'L 3
    "62 f1 7c c8 58 c1,UNKNOWN", // zeroing without a mask
    "62 f2 7d 48 90 04 08,UNKNOWN", // gather without a mask
    "c4 e2 79 90 04 00,UNKNOWN", // gather, registers equal
    "62 f1 78 48 58 c1,DROPPED_EXTENSION", // MVEX
    "8f e8 78 c0 c1 01,DROPPED_EXTENSION", // XOP
    "66 e8 00 00 00 00,LENGTH_DEPENDS_ON_CPU",
    "66 e9 00 00 00 00,LENGTH_DEPENDS_ON_CPU",
    "66 0f 84 00 00 00 00,LENGTH_DEPENDS_ON_CPU",
    "66 eb 00,LENGTH_DEPENDS_ON_CPU",
    "66 74 00,LENGTH_DEPENDS_ON_CPU",
    "66 e2 00,LENGTH_DEPENDS_ON_CPU",
    "66 e3 00,LENGTH_DEPENDS_ON_CPU",
    "66 c2 00 00,LENGTH_DEPENDS_ON_CPU",
    "66 c3,LENGTH_DEPENDS_ON_CPU",
    "66 ff e0,LENGTH_DEPENDS_ON_CPU",
    "66 ff d0,LENGTH_DEPENDS_ON_CPU",
    "66 c7 f8 00 00 00 00,LENGTH_DEPENDS_ON_CPU",
    "67 48 8b 05 00 00 00 00,EIP_RELATIVE",
    "67 c5 f8 58 05 00 00 00 00,EIP_RELATIVE",
    "67 62 f1 7c 48 58 05 00 00 00 00,EIP_RELATIVE",
    "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90,TOO_LONG",
    "66 66 66 66 66 66 66 66 66 66 66 66 81 c0 00 00,TOO_LONG"
  })
  void refusesWhatIsNoInstructionOnEveryServer(String hex, Undecodable reason) {
    long decoded = decode(hex + "90".repeat(15));
    assertThat(Decoded.isDecoded(decoded)).as("decoded").isFalse();
    assertThat(Decoded.reason(decoded)).isEqualTo(reason);
  }

  @ParameterizedTest(name = "{0} branches by {2} bytes at {1}")
  @CsvSource({
    "eb fe,1,1,401000",
    "2e 74 7f,2,1,401082",
    "e2 80,1,1,400f82",
    "e8 fb ff ff ff,1,4,401000",
    "f2 e9 00 01 00 00,2,4,401106",
    "0f 85 fa ff ff ff,2,4,401000",
    "c7 f8 10 00 00 00,2,4,401016",
  })
  void findsTheBranchDisplacement(String hex, int offset, int width, String target) {
    var instruction = decoder.instruction(code(hex), 0);
    assertThat(Decoded.branchOffset(instruction.decoded())).isEqualTo(offset);
    assertThat(Decoded.branchWidth(instruction.decoded())).isEqualTo(width);
    assertThat(instruction.directTarget()).hasValue(Long.parseLong(target, 16));
    assertThat(instruction.ripTarget()).isEmpty();
  }

  @ParameterizedTest(name = "{0} has its RIP-relative displacement at {1}")
  @CsvSource({
    "48 8b 05 10 00 00 00,3,401017",
    "c7 05 f6 ff ff ff 01 00 00 00,2,401000",
    "66 c7 05 00 00 00 00 01 00,3,401009",
    "80 3d 01 00 00 00 05,2,401008",
    "f6 05 00 00 00 00 01,2,401007",
    "ff 25 00 10 00 00,2,402006",
    "c5 f8 58 05 00 00 00 00,4,401008",
    "c4 e3 79 0f 05 00 00 00 00 08,5,40100a",
    "62 f1 7c 48 58 05 00 00 00 00,6,40100a",
    "62 f3 7d 28 3f 05 00 00 00 00 00,6,40100b"
  })
  void findsTheRipRelativeDisplacement(String hex, int offset, String target) {
    var instruction = decoder.instruction(code(hex), 0);
    assertThat(Decoded.ripOffset(instruction.decoded())).isEqualTo(offset);
    assertThat(Decoded.ripWidth(instruction.decoded())).isEqualTo(4);
    assertThat(instruction.ripTarget()).hasValue(Long.parseLong(target, 16));
    assertThat(instruction.directTarget()).isEmpty();
  }

  @ParameterizedTest(name = "{0} may run out of line: {1}")
  @CsvSource({
    "48 89 e5,true",
    "f3 a4,true",
    "f0 48 ff 00,true",
    "48 8b 05 00 00 00 00,true",
    "0f 1f 00,true",
    "c5 f8 58 c1,true",
    "62 f1 7c 48 58 c1,true",
    "0f a2,true",
    "0f c7 08,true",
    "eb 00,false",
    "74 00,false",
    "e8 00 00 00 00,false",
    "ff d0,false",
    "ff e0,false",
    "c3,false",
    "cc,false",
    "0f 05,false",
    "0f 0b,false",
    "8e d0,false",
    "0f 01 c1,false",
    "0f 30,false",
    "0f 20 c0,false",
    "f4,false",
    "ec,false",
    "fb,false",
    "d9 c0,false",
    "d3 f0,false",
    "f7 c8 00 00 00 00,false",
    "67 8b 00,false",
    "f3 0f 1e c8,false",
    "c6 f8 00,false"
  })
  void knowsWhatMayRunOutOfLine(String hex, boolean boostable) {
    assertThat(Decoded.isBoostable(decode(hex))).isEqualTo(boostable);
  }

  @ParameterizedTest(name = "{0}: lock {1}, repeat {2}, 66 {3}, 67 {4}, segment {5}")
  @CsvSource({
    "f0 01 00,true,false,false,false,false",
    "f3 a4,false,true,false,false,false",
    "66 89 c0,false,false,true,false,false",
    "67 8b 00,false,false,false,true,false",
    "64 8b 04 25 00 00 00 00,false,false,false,false,true",
    "2e 74 00,false,false,false,false,true",
    "f3 0f 58 c1,false,false,false,false,false",
    "66 0f 58 c1,false,false,false,false,false",
    "f3 c3,false,true,false,false,false",
    "f2 f0 01 00,true,true,false,false,false"
  })
  void namesThePrefixes(
      String hex,
      boolean lock,
      boolean repeat,
      boolean operandSize,
      boolean addressSize,
      boolean segment) {
    long decoded = decode(hex);
    assertThat(Decoded.hasLock(decoded)).isEqualTo(lock);
    assertThat(Decoded.hasRepeat(decoded)).isEqualTo(repeat);
    assertThat(Decoded.hasOperandSize(decoded)).isEqualTo(operandSize);
    assertThat(Decoded.hasAddressSize(decoded)).isEqualTo(addressSize);
    assertThat(Decoded.hasSegment(decoded)).isEqualTo(segment);
  }

  @Test
  void seesThatMovSsBlocksInterrupts() {
    assertThat(Decoded.blocksInterrupts(decode("8e d0"))).isTrue();
    assertThat(Decoded.blocksInterrupts(decode("8e d8"))).isFalse();
  }

  @ParameterizedTest
  @CsvSource({
    "48 b8 01 02 03 04 05 06 07 08",
    "0f 1f 84 00 00 00 00 00",
    "66 0f 3a 0f 05 00 00 00 00 08",
    "c4 e3 79 0f 84 24 00 00 00 00 08",
    "62 f3 7d 28 3f 84 24 00 00 00 00 01",
    "0f 84 00 00 00 00"
  })
  void saysWhereTheBytesEndTooEarly(String hex) {
    CodeBytes whole = CodeBytes.ofHex(hex);
    for (int length = 1; length < whole.length(); length++) {
      CodeRegion cut = CodeRegion.of("cut", ADDRESS, whole.slice(0, length));
      long decoded = decoder.decode(cut, 0);
      assertThat(Decoded.isDecoded(decoded)).as("%s", cut.bytes()).isFalse();
      assertThat(Decoded.reason(decoded)).as("%s", cut.bytes()).isEqualTo(Undecodable.TRUNCATED);
    }
    assertThat(Decoded.length(decode(hex))).isEqualTo(whole.length());
  }

  @Test
  void decodesAtEveryOffsetOfARegion() {
    CodeRegion code = code("55 48 89 e5 c3");
    assertThat(Decoded.length(decoder.decode(code, 0))).isEqualTo(1);
    assertThat(Decoded.length(decoder.decode(code, 1))).isEqualTo(3);
    assertThat(Decoded.flow(decoder.decode(code, 4))).isEqualTo(Flow.RETURN);
    assertThat(Decoded.length(decoder.decode(code, 1))).isEqualTo(3);
  }

  @Test
  void keepsRegionsApart() {
    CodeRegion first = code("90");
    CodeRegion second = code("55 48 89 e5");
    assertThat(Decoded.flow(decoder.decode(first, 0))).isEqualTo(Flow.NOP);
    assertThat(Decoded.length(decoder.decode(second, 1))).isEqualTo(3);
    assertThat(Decoded.flow(decoder.decode(first, 0))).isEqualTo(Flow.NOP);
  }

  @Test
  void refusesAnOffsetOutsideOfTheRegion() {
    CodeRegion code = code("90");
    assertThatThrownBy(() -> decoder.decode(code, 1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> decoder.decode(code, -1))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void refusesToMakeAnInstructionOfBadBytes() {
    assertThatThrownBy(() -> decoder.instruction(code("55 06"), 1))
        .isInstanceOf(PlanRefusedException.class)
        .hasMessageContaining("0x401001")
        .hasMessageContaining("no instruction");
  }
}
