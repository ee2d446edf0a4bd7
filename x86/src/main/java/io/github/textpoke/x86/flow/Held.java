package io.github.textpoke.x86.flow;

import org.jspecify.annotations.Nullable;

/** What a register holds, as {@link Dispatch} follows it: equal values are the same object. */
final class Held {
  /** As {@link #bound}: not known. */
  static final int NO_BOUND = -1;

  /** What it is. */
  enum Kind {
    /** Something. */
    OPAQUE,
    /** A constant address. */
    ADDRESS,
    /** An index, times 4. */
    SCALED,
    /** A 32-bit entry of a table, not yet sign-extended. */
    RAW_ENTRY,
    /** A 32-bit entry of a table. */
    ENTRY,
    /** The table's address plus a 32-bit entry of it. */
    RELATIVE_TARGET,
    /** A 64-bit entry of a table at a constant address. */
    TARGET
  }

  final Kind kind;
  final long address;
  final @Nullable Held base;
  final @Nullable Held index;

  /** Whether it is 8 bytes of memory, as they stand there; their kind is opaque. */
  final boolean isPointer;

  /** The highest number that it can be; an index learns it from a comparison behind it. */
  int bound;

  private Held(
      Kind kind,
      long address,
      @Nullable Held base,
      @Nullable Held index,
      boolean isPointer,
      int bound) {
    this.kind = kind;
    this.address = address;
    this.base = base;
    this.index = index;
    this.isPointer = isPointer;
    this.bound = bound;
  }

  static Held opaque(int bound) {
    return new Held(Kind.OPAQUE, 0, null, null, false, bound);
  }

  static Held pointer() {
    return new Held(Kind.OPAQUE, 0, null, null, true, NO_BOUND);
  }

  static Held address(long address) {
    return new Held(Kind.ADDRESS, address, null, null, false, NO_BOUND);
  }

  /** An entry of the table at a constant address. */
  static Held target(long table, Held index) {
    return new Held(Kind.TARGET, table, null, index, false, NO_BOUND);
  }

  /** What is made of an index, and of a table's address where it has one. */
  static Held indexed(Kind kind, @Nullable Held base, @Nullable Held index) {
    return new Held(kind, 0, base, index, false, NO_BOUND);
  }

  /** Takes what a comparison says. */
  void limit(int most) {
    if (most >= 0 && (bound == NO_BOUND || most < bound)) {
      bound = most;
    }
  }
}
