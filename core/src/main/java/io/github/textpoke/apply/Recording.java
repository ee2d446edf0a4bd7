package io.github.textpoke.apply;

import java.util.function.IntConsumer;

/** How the ledger follows a plan. */
interface Recording {
  /** A plan that the ledger knows nothing of. */
  Recording NONE = (hold, room) -> Marks.NONE;

  /**
   * What to write while the plan is carried out. Called while nobody else can patch the target.
   *
   * @param hold the same object as long as nobody else could have
   * @param room makes room in the target for a record of so many bytes
   */
  Marks marks(Object hold, IntConsumer room);

  /**
   * Values of a patch's progress word.
   *
   * @param address absolute address of the word, 0 for none
   * @param begun at step 0; the step reached is added to it
   * @param done when the plan is done
   * @param undone when what stood before stands again
   */
  record Marks(long address, long begun, long done, long undone) {
    static final Marks NONE = new Marks(0, 0, 0, 0);
  }
}
