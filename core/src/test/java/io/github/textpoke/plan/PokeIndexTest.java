package io.github.textpoke.plan;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PokeIndexTest {
  private static final CodeBytes CODE = CodeBytes.ofHex("55 48 89 e5 90");
  private static final CodeBytes JMP = CodeBytes.ofHex("e9 11 22 33 44");
  private static final TrapAction REWIND = new TrapAction.Rewind();

  /** The last one is at the very top of memory. */
  private static final PokeIndex INDEX =
      new PokeIndex(
          ImmutableList.of(
              Poke.displacing(
                  new Site(0x1000, CODE),
                  5,
                  List.of(Boundary.copiedTo(1, 0x7001), Boundary.copiedTo(4, 0x7004)),
                  JMP,
                  5,
                  new TrapAction.Redirect(0x7000)),
              new Poke(new Site(0x1005, CODE), 5, JMP, 5, REWIND),
              Poke.displacing(
                      new Site(-5, CODE), 5, List.of(Boundary.copiedTo(4, 0x8004)), JMP, 5, REWIND)
                  .inverse()));

  @ParameterizedTest
  @CsvSource({
    "1000, 5, 0",
    "1004, 1, 0",
    "1004, 2, -1",
    "1005, 5, 1",
    "1009, 1, 1",
    "100a, 1, -1",
    "0fff, 1, -1",
    "0fff, 2, -1",
    "fffffffffffffffb, 5, 2",
    "ffffffffffffffff, 1, 2"
  })
  void findsTheSiteThatHoldsAllOfTheBytes(String address, int length, int index) {
    assertThat(INDEX.holding(Long.parseUnsignedLong(address, 16), length)).isEqualTo(index);
  }

  @Test
  void knowsTheTrapActionsOfTheFirstByteAndOfTheBoundariesInside() {
    assertThat(INDEX.trapActionAt(0x1000)).contains(new TrapAction.Redirect(0x7000));
    assertThat(INDEX.trapActionAt(0x1001)).contains(new TrapAction.Redirect(0x7001));
    assertThat(INDEX.trapActionAt(0x1004)).contains(new TrapAction.Redirect(0x7004));
    assertThat(INDEX.trapActionAt(0x1005)).contains(REWIND);
    assertThat(INDEX.trapActionAt(-5)).contains(REWIND);
    assertThat(INDEX.trapActionAt(-1)).contains(new TrapAction.Redirect(0x8004));
  }

  @Test
  void knowsNoTrapActionWhereNoBreakpointOfThePokesCanStand() {
    for (long address : new long[] {0x0fff, 0x1002, 0x1003, 0x1006, 0x1009, 0x100a, -2, 0}) {
      assertThat(INDEX.trapActionAt(address)).as(Long.toHexString(address)).isEmpty();
    }
  }
}
