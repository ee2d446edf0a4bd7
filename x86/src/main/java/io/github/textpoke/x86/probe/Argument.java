package io.github.textpoke.x86.probe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.x86.probe.CallCondition.Comparison;

/**
 * One of the first six arguments of a function that are integers or pointers. They are in rdi, rsi,
 * rdx, rcx, r8 and r9 (psABI 3.2.3), in this order; arguments of floating point are not among them
 * and do not count, and a function that returns a structure in memory has the address of that
 * before its own first one. Nothing in the code says how many arguments a function has: of one that
 * is not there, it is whatever is in the register. Immutable and thread-safe.
 *
 * @param number from 1
 * @param type how it is read
 * @param mask the bits of it that are looked at; -1: all
 */
public record Argument(int number, IntegerType type, long mask) {
  /** How many are in registers. */
  public static final int MOST = 6;

  /** Checks the number. */
  public Argument {
    checkArgument(
        number >= 1 && number <= MOST, "argument %s: arguments 1 to %s are known", number, MOST);
  }

  /**
   * One of 64 bits with a sign.
   *
   * @param number from 1 to {@value #MOST}
   */
  public static Argument of(int number) {
    return new Argument(number, IntegerType.INT64, -1);
  }

  /** The same, read as another type. */
  public Argument as(IntegerType other) {
    return new Argument(number, other, mask);
  }

  /** The same, and only the bits of it that are set in {@code bits}. */
  public Argument masked(long bits) {
    return new Argument(number, type, bits);
  }

  /** What it is when its register holds this. */
  long in(long register) {
    return type.in(register) & mask;
  }

  /** Calls with this value there. */
  public CallCondition isEqualTo(long value) {
    return CallCondition.of(this, Comparison.EQUAL, value);
  }

  /** Calls with another value there. */
  public CallCondition isNotEqualTo(long value) {
    return CallCondition.of(this, Comparison.NOT_EQUAL, value);
  }

  /** Calls with less there; without a sign, where the type has none. */
  public CallCondition isLessThan(long value) {
    return CallCondition.of(this, Comparison.LESS, value);
  }

  /** Calls with that or less there; without a sign, where the type has none. */
  public CallCondition isAtMost(long value) {
    return CallCondition.of(this, Comparison.AT_MOST, value);
  }

  /** Calls with more there; without a sign, where the type has none. */
  public CallCondition isGreaterThan(long value) {
    return CallCondition.of(this, Comparison.GREATER, value);
  }

  /** Calls with that or more there; without a sign, where the type has none. */
  public CallCondition isAtLeast(long value) {
    return CallCondition.of(this, Comparison.AT_LEAST, value);
  }

  /** Calls in which one of these bits is set there. */
  public CallCondition hasAnyOf(long bits) {
    return masked(mask & bits).isNotEqualTo(0);
  }

  /** As the command line takes it. */
  @Override
  public String toString() {
    return "arg"
        + number
        + (type == IntegerType.INT64 ? "" : ":" + CallCondition.shortName(type))
        + (mask == -1 ? "" : "&0x" + Long.toHexString(mask));
  }
}
