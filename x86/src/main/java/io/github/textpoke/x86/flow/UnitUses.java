package io.github.textpoke.x86.flow;

import java.util.Arrays;
import java.util.BitSet;

/** What code does to the starts of {@link Units}. Written while an object is swept, then read. */
final class UnitUses {
  /** Nobody jumps there. */
  static final int NOBODY = -1;

  /** Several units do. */
  static final int SEVERAL = -2;

  private final BitSet called = new BitSet();
  private final int[] jumpers;

  UnitUses(int units) {
    jumpers = new int[units];
    Arrays.fill(jumpers, NOBODY);
  }

  /** Another unit calls {@code unit}, or takes its address. */
  void called(int unit) {
    called.set(unit);
  }

  /** {@code by} jumps to the start of {@code unit}. */
  void jumped(int unit, int by) {
    jumpers[unit] = jumpers[unit] == NOBODY || jumpers[unit] == by ? by : SEVERAL;
  }

  boolean isCalled(int unit) {
    return called.get(unit);
  }

  /** Index of the only unit that jumps to {@code unit}; else {@link #NOBODY}, {@link #SEVERAL}. */
  int onlyJumper(int unit) {
    return jumpers[unit];
  }
}
