package io.github.textpoke.x86.target;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Assembler.Condition;
import io.github.textpoke.x86.target.Assembler.Operation;

/** A 64-bit number that the emitted code computes. */
sealed interface Value {
  /** The number itself. */
  record Constant(long value) implements Value {}

  /**
   * What lies in the session's memory.
   *
   * @param offset from its start, in bytes
   * @param width in bytes: 1, 2, 4 or 8; shorter ones are zero-extended
   */
  record Slot(int offset, int width) implements Value {
    /** Where it lies. */
    Value address() {
      return new Place(offset);
    }
  }

  /**
   * The address of something in the session's memory.
   *
   * @param offset from its start, in bytes
   */
  record Place(int offset) implements Value {}

  /**
   * What lies at an address.
   *
   * @param width in bytes: 1, 2, 4 or 8; shorter ones are zero-extended
   */
  record Load(Value base, int offset, int width) implements Value {}

  /** The lower four bytes, sign-extended: an {@code int} of the kernel's. */
  record Signed(Value value) implements Value {}

  /** Two values and an operation. */
  record Binary(Operation operation, Value left, Value right) implements Value {}

  /** {@code left << count}, or {@code left >>> -count}. */
  record Shift(Value left, int count) implements Value {}

  /** {@code left * factor}. */
  record Product(Value left, int factor) implements Value {}

  /** {@code left / divisor}, or its remainder; unsigned. */
  record Quotient(Value left, int divisor, boolean remainder) implements Value {}

  /** What a routine returns. */
  record Call(Emitter.Routine routine, ImmutableList<Value> arguments) implements Value {}

  /** What the kernel returns: the result or the negated errno. */
  record SystemCall(int number, ImmutableList<Value> arguments) implements Value {}

  /** The address of a routine. */
  record Entry(Emitter.Routine routine) implements Value {}

  /** Whether something holds. */
  sealed interface Test {
    /** A comparison. */
    record Compare(Value left, Condition condition, Value right) implements Test {}

    /** Both hold; the second is looked at only where the first does. */
    record Both(Test first, Test second) implements Test {}

    /** One of both holds; the second is looked at only where the first does not. */
    record Either(Test first, Test second) implements Test {}
  }

  // ---------------------------------------------------------------- how they are written

  /** The number itself. */
  static Value of(long value) {
    return new Constant(value);
  }

  /** This plus another. */
  default Value plus(Value other) {
    return new Binary(Operation.ADD, this, other);
  }

  /** This plus a number. */
  default Value plus(long other) {
    return plus(of(other));
  }

  /** This minus another. */
  default Value minus(Value other) {
    return new Binary(Operation.SUB, this, other);
  }

  /** This minus a number. */
  default Value minus(long other) {
    return minus(of(other));
  }

  /** The bits that both have. */
  default Value and(long bits) {
    return new Binary(Operation.AND, this, of(bits));
  }

  /** The bits that one of both has. */
  default Value or(long bits) {
    return new Binary(Operation.OR, this, of(bits));
  }

  /** The bits that one of both has. */
  default Value or(Value bits) {
    return new Binary(Operation.OR, this, bits);
  }

  /** Shifted to the left. */
  default Value shiftedLeft(int count) {
    return new Shift(this, count);
  }

  /** Shifted to the right; zeros come in. */
  default Value shiftedRight(int count) {
    return new Shift(this, -count);
  }

  /** This times a number. */
  default Value times(int factor) {
    return new Product(this, factor);
  }

  /** The eight bytes at this address plus an offset. */
  default Value at(int offset) {
    return new Load(this, offset, 8);
  }

  /** The four bytes at this address plus an offset. */
  default Value intAt(int offset) {
    return new Load(this, offset, 4);
  }

  /** The two bytes at this address plus an offset. */
  default Value shortAt(int offset) {
    return new Load(this, offset, 2);
  }

  /** The byte at this address plus an offset. */
  default Value byteAt(int offset) {
    return new Load(this, offset, 1);
  }

  /** Equal. */
  default Test is(Value other) {
    return new Test.Compare(this, Condition.EQUAL, other);
  }

  /** Equal. */
  default Test is(long other) {
    return is(of(other));
  }

  /** Not equal. */
  default Test isNot(Value other) {
    return new Test.Compare(this, Condition.NOT_EQUAL, other);
  }

  /** Not equal. */
  default Test isNot(long other) {
    return isNot(of(other));
  }

  /** Less, signed. */
  default Test isLess(Value other) {
    return new Test.Compare(this, Condition.LESS, other);
  }

  /** Less, signed. */
  default Test isLess(long other) {
    return isLess(of(other));
  }

  /** Greater, signed. */
  default Test isGreater(Value other) {
    return new Test.Compare(this, Condition.GREATER, other);
  }

  /** Greater, signed. */
  default Test isGreater(long other) {
    return isGreater(of(other));
  }

  /** Less, unsigned. */
  default Test isBelow(Value other) {
    return new Test.Compare(this, Condition.BELOW, other);
  }

  /** Has one of these bits. */
  default Test has(long bits) {
    return and(bits).isNot(0);
  }

  /** Has none of these bits. */
  default Test hasNo(long bits) {
    return and(bits).is(0);
  }
}
