package io.github.textpoke.x86.flow;

/** Where an indirect jump takes its target from, as {@link Dispatch} sees it. */
sealed interface Way {
  /**
   * A table that it goes through.
   *
   * @param address of the table; 0 where it is not known, see {@link #isAddressKnown}
   * @param isAddressKnown whether the straight code before the jump says where the table is
   * @param isRelative entries are 4 bytes, relative to the table; else 8, absolute
   * @param last the last index; -1 where no bound was found
   */
  record Table(long address, boolean isAddressKnown, boolean isRelative, int last) implements Way {}

  /** A pointer of 8 bytes that somebody has stored in memory, taken as it stands there. */
  record Pointer() implements Way {}
}
