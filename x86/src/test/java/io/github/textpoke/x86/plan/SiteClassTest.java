package io.github.textpoke.x86.plan;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SiteClassTest {
  @ParameterizedTest
  @CsvSource({
    "0x401000, 1, IN_QUADWORD",
    "0x401000, 8, IN_QUADWORD",
    "0x401003, 5, IN_QUADWORD",
    "0x401004, 5, IN_LINE",
    "0x401000, 9, IN_LINE",
    "0x401036, 5, IN_LINE",
    "0x40103c, 5, STRADDLES_LINE",
    "0x40103f, 2, STRADDLES_LINE",
    "0x40103f, 1, IN_QUADWORD",
    "0x401ffb, 5, IN_QUADWORD",
    "0x401ffc, 5, STRADDLES_PAGE",
    "0x401fff, 2, STRADDLES_PAGE",
    "0x401fff, 1, IN_QUADWORD"
  })
  void tellsHowASiteLies(String address, int length, SiteClass expected) {
    assertThat(SiteClass.of(Long.decode(address), length)).isEqualTo(expected);
  }
}
