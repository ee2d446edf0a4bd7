package io.github.textpoke.process;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class NearHoleTest {
  private static final long PAGE = 4096;

  private static MemoryMap map(String... lines) {
    return MemoryMap.parse(
        String.join(
            "\n",
            java.util.Arrays.stream(lines)
                .map(line -> line.replaceFirst("^(\\S+) ?", "$1 r-xp 00000000 00:00 0 "))
                .toList()));
  }

  private static OptionalLong find(MemoryMap map, long start, long end, long size) {
    return NearHole.find(map, start, end, size);
  }

  @Test
  void theNearestHoleIsTakenBelowOrAbove() {
    MemoryMap map = map("10000000-10100000", "10200000-10300000", "10310000-10400000");
    assertThat(find(map, 0x10200000L, 0x10300000L, PAGE)).hasValue(0x10200000L - PAGE);
    assertThat(find(map, 0x10310000L, 0x10400000L, PAGE)).hasValue(0x10310000L - PAGE);
    MemoryMap below = map("10000000-10100000", "10100000-10200000");
    assertThat(find(below, 0x10100000L, 0x10200000L, PAGE)).hasValue(0x10200000L);
  }

  @Test
  void aHoleThatIsTooSmallIsLeftOut() {
    MemoryMap map = map("10000000-10200000", "10201000-10300000", "10310000-10400000");
    assertThat(find(map, 0x10201000L, 0x10300000L, 2 * PAGE)).hasValue(0x10300000L);
  }

  @Test
  void theHeapAndTheStackMayGrow() {
    MemoryMap map = map("10000-10200000", "10200000-10300000 [heap]", "60000000-60100000 [stack]");
    assertThat(find(map, 0x10000L, 0x10200000L, PAGE)).hasValue(0x60100000L);
    MemoryMap noStack = map("10000-10200000", "10200000-10300000 [heap]");
    assertThat(find(noStack, 0x10000L, 0x10200000L, PAGE)).hasValue(0x10300000L + (1L << 30));
  }

  @Test
  void allOfItReachesAllThatItIsNearTo() {
    MemoryMap map = map("10000-100000000", "100000000-100100000", "100100000-200000000");
    assertThat(find(map, 0x100000000L, 0x100100000L, PAGE)).isEmpty();
    MemoryMap farther = map("10000-80000000", "80001000-100000000");
    long start = 0x80001000L;
    long last = 0x80000000L + NearHole.REACH;
    assertThat(find(farther, start, last, PAGE)).hasValue(0x80000000L);
    assertThat(find(farther, start, last + 1, PAGE)).isEmpty();
  }

  @Test
  void nothingIsTakenWhereTheKernelMapsNothing() {
    MemoryMap map = map("20000-30000");
    assertThat(find(map, 0x20000L, 0x30000L, PAGE)).hasValue(0x20000L - PAGE);
    assertThat(find(map, 0x20000L, 0x30000L, 0x10000)).hasValue(0x10000);
    assertThat(find(map, 0x20000L, 0x30000L, 0x11000)).hasValue(0x30000L);
  }
}
