package io.github.textpoke.x86.decode;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Undecodable;

/**
 * Hostile bytes: the seeds run with the suite, {@code JAZZER_FUZZ=1} looks for more. Each string is
 * decoded at every offset and cut at every length.
 */
class TableDecoderFuzzTest {
  private static final int MOST = 64;

  private final TableDecoder decoder = new TableDecoder();

  @FuzzTest(maxDuration = "1m")
  void decodesOrRefusesAnyBytes(byte[] data) {
    if (data.length == 0 || data.length > MOST) {
      return; // no region, or too slow: the work grows with the square
    }
    CodeBytes bytes = CodeBytes.of(data);
    CodeRegion code = CodeRegion.of("fuzz", 0x401000, bytes);
    for (int at = 0; at < data.length; at++) {
      long whole = decoder.decode(code, at);
      int length = Decoded.length(whole);
      assertThat(length).isBetween(0, Math.min(15, data.length - at));
      if (length == 0) {
        continue;
      }
      assertThat(Decoded.branchOffset(whole) + Decoded.branchWidth(whole))
          .isLessThanOrEqualTo(length);
      assertThat(Decoded.ripOffset(whole) + Decoded.ripWidth(whole)).isLessThanOrEqualTo(length);
      // What stands behind the instruction must not matter, and every byte of it must.
      assertThat(new TableDecoder().decode(cut(bytes, at, length), 0)).isEqualTo(whole);
      for (int shorter = 1; shorter < length; shorter++) {
        long cut = new TableDecoder().decode(cut(bytes, at, shorter), 0);
        assertThat(Decoded.isDecoded(cut)).isFalse();
        assertThat(Decoded.reason(cut)).isEqualTo(Undecodable.TRUNCATED);
      }
    }
  }

  private static CodeRegion cut(CodeBytes bytes, int from, int length) {
    return CodeRegion.of("cut", 0x401000, bytes.slice(from, from + length));
  }
}
