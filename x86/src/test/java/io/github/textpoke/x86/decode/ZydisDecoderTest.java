package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import io.github.textpoke.decode.InstructionDecoder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@RequiresZydis
class ZydisDecoderTest extends InstructionDecoderContract {
  @Override
  InstructionDecoder decoder() {
    return new ZydisDecoder();
  }

  @ParameterizedTest(name = "{0} is written {1}")
  @CsvSource({
    "90,nop",
    "48 89 e5,'mov rbp, rsp'",
    "e8 fb 00 00 00,call 0x0000000000401100",
    "74 0e,jz 0x0000000000401010",
    "48 8b 05 09 00 00 00,'mov rax, [0x0000000000401010]'"
  })
  void writesIntelSyntaxWithAbsoluteTargets(String hex, String text) {
    String written = new ZydisDecoder().format(code(hex), 0);
    assertThat(written).isEqualTo(text);
  }

  @Test
  void writesNothingForWhatItDoesNotDecode() {
    assertThat(new ZydisDecoder().format(code("06"), 0)).isNull();
    assertThat(new ZydisDecoder().format(code("66 e8 00 00 00 00"), 0)).isNull();
  }

  @Test
  void saysThatItIsAvailable() {
    assertThat(ZydisDecoder.isAvailable()).isTrue();
    assertThat(ZydisDecoder.unavailabilityCause()).isNull();
    assertThatCode(ZydisDecoder::ensureAvailability).doesNotThrowAnyException();
  }

  @Test
  void namesItsVersion() {
    assertThat(new ZydisDecoder().name()).matches("zydis 4\\.[01]\\.\\d+");
  }
}
