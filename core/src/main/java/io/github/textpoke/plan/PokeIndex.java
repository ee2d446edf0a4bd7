package io.github.textpoke.plan;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/** Finds the poke whose site holds given bytes, by binary search. Immutable and thread-safe. */
public final class PokeIndex {
  private final ImmutableList<Poke> pokes;

  /**
   * @param pokes sorted by unsigned address, without overlap
   */
  public PokeIndex(ImmutableList<Poke> pokes) {
    this.pokes = pokes;
  }

  /**
   * The position in the list of the poke whose site holds all of the {@code length} bytes at {@code
   * address}; -1 where there is none.
   */
  public int holding(long address, int length) {
    int low = 0;
    int high = pokes.size() - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      Poke poke = pokes.get(middle);
      if (Long.compareUnsigned(poke.address(), address) > 0) {
        high = middle - 1;
      } else if (Long.compareUnsigned(address - poke.address(), poke.length()) >= 0) {
        low = middle + 1;
      } else {
        return address - poke.address() + length <= poke.length() ? middle : -1;
      }
    }
    return -1;
  }

  /**
   * What becomes of a thread that has run the breakpoint at {@code address}: on the first byte of a
   * site, or on a boundary inside of one. Empty where no breakpoint of these pokes can stand.
   *
   * @param address absolute address of the breakpoint, one less than the thread's instruction
   *     pointer
   */
  public Optional<TrapAction> trapActionAt(long address) {
    int i = holding(address, 1);
    if (i < 0) {
      return Optional.empty();
    }
    Poke poke = pokes.get(i);
    if (poke.address() == address) {
      return Optional.of(poke.trapAction());
    }
    return poke.interior().stream()
        .filter(boundary -> poke.address() + boundary.offset() == address)
        .map(Boundary::trapAction)
        .findFirst();
  }
}
