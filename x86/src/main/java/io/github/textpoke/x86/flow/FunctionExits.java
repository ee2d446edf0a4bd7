package io.github.textpoke.x86.flow;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.elf.FunctionRange;
import java.util.Optional;

/**
 * All instructions by which control leaves a function for good. Calls come back; what never comes
 * back, as a call of abort or longjmp or the raising of an exception, is no exit. Link-time
 * addresses. Immutable.
 *
 * @param parts of the function: that which was asked for, and behind it those that were split off
 * @param exits by part and address
 * @param obstacle what makes it uncertain that these are all; empty: they are
 */
public record FunctionExits(
    ImmutableList<FunctionRange> parts, ImmutableList<Exit> exits, Optional<Obstacle> obstacle) {

  /** How an exit leaves. */
  public enum Kind {
    /** {@code ret}, with or without an operand. */
    RETURN,
    /** A direct jump to another function: a call at the tail. */
    JUMP,
    /** As {@link #JUMP}, on a condition; else the function goes on. */
    CONDITIONAL_JUMP,
    /** A jump to another function through a register or memory. */
    INDIRECT_JUMP
  }

  /**
   * One instruction.
   *
   * @param address of its first byte
   * @param length in bytes
   * @param part index in {@link #parts}
   */
  public record Exit(long address, int length, Kind kind, int part) {
    /** The address behind it. */
    public long end() {
      return address + length;
    }
  }

  /** Why it is not known where control leaves the function, and the instruction that it is for. */
  public record Obstacle(long address, String reason) {}
}
