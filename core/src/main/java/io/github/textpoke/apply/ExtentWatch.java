package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.linux.Registers;
import java.util.Comparator;
import java.util.List;

/**
 * Remembers which stretches of memory of ours it was asked for: by an instruction pointer, a word
 * on a stack, or a register. It moves nobody.
 */
final class ExtentWatch implements Addresses {
  private final ImmutableList<Extent> extents;
  private final boolean[] seen;

  /**
   * @param extents that don't overlap
   */
  ExtentWatch(List<Extent> extents) {
    this.extents = ImmutableList.sortedCopyOf(Comparator.comparingLong(Extent::start), extents);
    this.seen = new boolean[extents.size()];
  }

  @Override
  public long get(long address) {
    int low = 0;
    int high = extents.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (extents.get(middle).start() <= address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    // The end itself counts: a call that is an extent's last instruction returns there. Another may
    // begin where one ends.
    for (int i = Math.max(0, low - 2); i < low; i++) {
      seen[i] |= address <= extents.get(i).end();
    }
    return 0;
  }

  @Override
  public void look(Registers registers) {
    for (int i = 0; i < Registers.COUNT; i++) {
      get(registers.get(i));
    }
  }

  /** Those that nobody was seen in. */
  ImmutableList<Extent> unseen() {
    ImmutableList.Builder<Extent> unseen = ImmutableList.builder();
    for (int i = 0; i < seen.length; i++) {
      if (!seen[i]) {
        unseen.add(extents.get(i));
      }
    }
    return unseen.build();
  }
}
