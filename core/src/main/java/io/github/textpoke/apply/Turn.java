package io.github.textpoke.apply;

/**
 * The values of a <em>turn</em>: an aligned 32-bit word in the target that code of ours reads to
 * choose between old and new code. So any number of functions changes by one store.
 *
 * <p>To change it while no thread is in the code that is left, it is held in between: who reads
 * {@link #HELD_OLD} or {@link #HELD_NEW} waits, for a bounded time, and then takes the hold back by
 * a compare-exchange that adds {@link #EXPIRED}; who holds it ends the hold by setting the bit
 * {@link #COMMIT}, atomically. Whichever comes first counts, so a patcher that dies or pauses while
 * it holds a turn harms nobody.
 */
public final class Turn {
  /** Old code runs. */
  public static final int OLD = 0;

  /** New code runs. */
  public static final int NEW = 1;

  /** Old code ran; who comes waits. */
  public static final int HELD_OLD = 2;

  /** New code ran; who comes waits. */
  public static final int HELD_NEW = 8;

  /** What is added by who has waited too long: what ran before the hold runs on. */
  public static final int EXPIRED = 2;

  /** The bit that ends a hold with the other code. */
  public static final int COMMIT = 1;

  /** Bit n is set where the new code runs at the value n. */
  public static final int NEW_VALUES =
      1 << NEW
          | 1 << (HELD_OLD | COMMIT)
          | 1 << HELD_NEW + EXPIRED
          | 1 << (HELD_NEW + EXPIRED | COMMIT);

  private Turn() {}

  /**
   * Whether the new code runs once nobody changes {@code value} any more: a hold that is not
   * committed ends with what ran before.
   */
  public static boolean endsNew(int value) {
    return value == HELD_NEW || isNew(value);
  }

  /** Whether the new code runs at {@code value}; at a held one it does when the hold is over. */
  public static boolean isNew(int value) {
    return value >= 0 && value < Integer.SIZE && (NEW_VALUES >>> value & 1) != 0;
  }
}
