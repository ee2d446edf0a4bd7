package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class DisplacedBytesTest {
  private static final int INT3 = 0xcc;
  private static final Poke POKE =
      Poke.displacing(
          new Site(0x401000, CodeBytes.ofHex("55 48 89 e5 90")),
          5,
          List.of(Boundary.copiedTo(1, 0x7001), Boundary.copiedTo(4, 0x7004)),
          CodeBytes.ofHex("e9 11 22 33 cc"),
          5,
          new TrapAction.Redirect(0x7000));

  @ParameterizedTest
  @ValueSource(
      strings = {
        "55 48 89 e5 90",
        "cc 48 89 e5 90",
        "cc cc 89 e5 90",
        "cc cc 89 e5 cc",
        "55 cc 89 e5 cc",
        "cc 48 89 e5 cc"
      })
  void severalInstructionsStandWhicheverOfThemHoldBreakpoints(String now) {
    assertThat(DisplacedBytes.standIn(CodeBytes.ofHex(now), POKE, INT3)).isTrue();
    assertThat(DisplacedBytes.standIn(CodeBytes.ofHex(now), POKE.inverse(), INT3)).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"e9 11 22 33 cc", "cc 11 22 33 cc", "cc cc cc e5 90", "cc 48 89 e5 91"})
  void theyDoNotWhereAByteIsOfAnotherCodeOrABreakpointIsOnNoBoundary(String now) {
    assertThat(DisplacedBytes.standIn(CodeBytes.ofHex(now), POKE, INT3)).isFalse();
    assertThat(DisplacedBytes.standIn(CodeBytes.ofHex(now), POKE.inverse(), INT3)).isFalse();
  }

  @Test
  void theyNeverDoInAPokeOfOneInstructionForOne() {
    CodeBytes nop = CodeBytes.of(0x90);
    Poke poke =
        new Poke(new Site(0x401000, nop), 1, CodeBytes.of(0xc3), 1, new TrapAction.Rewind());
    assertThat(DisplacedBytes.standIn(nop, poke, INT3)).isFalse();
  }
}
