package io.github.textpoke.x86.detour;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Joiner;
import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Longs;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * What a function returns instead of running, and in which of its calls:
 *
 * <pre>{@code
 * ReturnOverride.returning(-1).withErrno("EIO").everyNth(3).atMost(10).lasting(Duration.ofSeconds(30))
 * ReturnOverride.returningInOrder(3, 5, 7)
 * }</pre>
 *
 * <p>The order in which conditions are said does not count. Each call is tested in this order, and
 * the first test that it fails makes the original run, as if it had never been overridden:
 *
 * <ol>
 *   <li>the deadline: it has not passed;
 *   <li>every n-th: of all calls that the first test let through, it is the n-th, 2n-th, ...;
 *   <li>probability: of those that came so far, it is one that the generator picks;
 *   <li>times: of those that came so far, it is one of the first;
 *   <li>the value: there is one left, where values are returned in order.
 * </ol>
 *
 * <p>Calls are counted in the order in which their threads come to the count, all threads of the
 * process together; each count is exact. A forked child goes on from its parent's counts and counts
 * for itself from then on.
 *
 * <p><b>Values.</b> The 64 bits go into rax, where the System V ABI (section 3.2.3) returns
 * integers and pointers. A function whose type is narrower returns the low bits: a caller of an
 * {@code int} function reads eax, so -1 is right for it as for {@code long}, and 0xffffffffL is the
 * same -1; for a {@code bool} give 0 or 1. Not covered are functions that return a float or a
 * double (xmm0), a long double (x87), 128 bits (rdx, too), or a struct: one in memory would never
 * be written, and rax would have to hold its address.
 *
 * <p>Immutable and thread-safe.
 *
 * @param returned the value or values
 * @param errno what errno is set to in the calling thread of an overridden call: 1 to {@value
 *     #MAX_ERRNO}; empty to leave it alone
 * @param every n of every n-th, at least 1
 * @param chance empty for certain
 * @param times how many calls are overridden, at least 1; empty without a limit
 * @param duration how long from when it is put in place, positive; empty without end
 */
public record ReturnOverride(
    Returned returned,
    OptionalInt errno,
    long every,
    Optional<Chance> chance,
    OptionalLong times,
    Optional<Duration> duration) {
  /** The highest error number that the kernel returns: MAX_ERRNO of its linux/err.h. */
  public static final int MAX_ERRNO = 4095;

  /** How many values can be returned in order. */
  public static final int MAX_VALUES = 4096;

  private static final Duration MAX_DURATION = Duration.ofDays(100 * 365);

  /** What is returned. */
  public sealed interface Returned {
    /** How many values there are; empty without a limit. */
    OptionalLong limit();
  }

  /**
   * The same in every overridden call.
   *
   * @param value as it is put into rax
   */
  public record Always(long value) implements Returned {
    @Override
    public OptionalLong limit() {
      return OptionalLong.empty();
    }

    @Override
    public String toString() {
      return Long.toString(value);
    }
  }

  /**
   * One after the other; then the function runs as the original again.
   *
   * @param values 1 to {@value ReturnOverride#MAX_VALUES}
   */
  public record InOrder(ImmutableList<Long> values) implements Returned {
    /** Checks the number of values. */
    public InOrder {
      checkArgument(
          !values.isEmpty() && values.size() <= MAX_VALUES,
          "1 to %s values can be returned in order, not %s",
          MAX_VALUES,
          values.size());
    }

    @Override
    public OptionalLong limit() {
      return OptionalLong.of(values.size());
    }

    @Override
    public String toString() {
      return Joiner.on(", then ").join(values);
    }
  }

  /**
   * A choice by a generator that can be replayed: the i-th call that is drawn for is overridden if
   * the i-th {@code nextLong()} of a {@code new SplittableRandom(seed)}, read as unsigned, is below
   * {@code probability} times 2^64.
   *
   * @param probability more than 0, at most 1
   * @param seed any number
   */
  public record Chance(double probability, long seed) {
    /** Checks the probability. */
    public Chance {
      checkArgument(
          probability > 0 && probability <= 1,
          "a probability is more than 0 and at most 1, not %s",
          probability);
    }

    /**
     * The probability times 2^64, rounded up so that it is not 0: exact for all that a double can
     * say above 2^-12, and for less by less than 2^-64.
     *
     * @return from 1 to 2^64
     */
    BigInteger threshold() {
      return new BigDecimal(probability)
          .multiply(new BigDecimal(BigInteger.ONE.shiftLeft(Long.SIZE)))
          .setScale(0, RoundingMode.CEILING)
          .toBigIntegerExact();
    }

    /** Whether every call is picked. */
    boolean isCertain() {
      return probability == 1;
    }
  }

  /** Checks that the numbers are in range. */
  public ReturnOverride {
    errno.ifPresent(
        number ->
            checkArgument(
                number >= 1 && number <= MAX_ERRNO,
                "an error number is 1 to %s, not %s",
                MAX_ERRNO,
                number));
    checkArgument(every >= 1, "every n-th call needs an n of at least 1, not %s", every);
    times.ifPresent(
        limit -> checkArgument(limit >= 1, "at least one call is overridden, not %s", limit));
    duration.ifPresent(
        length ->
            checkArgument(
                length.compareTo(Duration.ZERO) > 0 && length.compareTo(MAX_DURATION) <= 0,
                "a duration is positive and at most %s, not %s",
                MAX_DURATION,
                length));
  }

  private ReturnOverride(Returned returned) {
    this(
        returned, OptionalInt.empty(), 1, Optional.empty(), OptionalLong.empty(), Optional.empty());
  }

  /** Returns {@code value} in every call. */
  public static ReturnOverride returning(long value) {
    return new ReturnOverride(new Always(value));
  }

  /**
   * Returns one value after the other, each once; after the last one the function runs as the
   * original again.
   *
   * @throws IllegalArgumentException for more than {@value #MAX_VALUES} values
   */
  public static ReturnOverride returningInOrder(long first, long... more) {
    return new ReturnOverride(
        new InOrder(ImmutableList.<Long>builder().add(first).addAll(Longs.asList(more)).build()));
  }

  /**
   * Sets errno in the calling thread, too, as the C library's functions do where they fail. System
   * calls and functions of the kernel's kind return the negated number instead.
   *
   * @param number 1 to {@value #MAX_ERRNO}
   * @throws IllegalArgumentException if it is out of range
   */
  public ReturnOverride withErrno(int number) {
    return new ReturnOverride(returned, OptionalInt.of(number), every, chance, times, duration);
  }

  /**
   * As {@link #withErrno(int)}.
   *
   * @param name as in errno(3): {@code EIO}
   * @throws IllegalArgumentException if x86-64 Linux has no such error
   */
  public ReturnOverride withErrno(String name) {
    return withErrno(ErrnoNames.number(name));
  }

  /**
   * Overrides the n-th call, the 2n-th and so on, and no other.
   *
   * @throws IllegalArgumentException if {@code n} is less than 1
   */
  public ReturnOverride everyNth(long n) {
    return new ReturnOverride(returned, errno, n, chance, times, duration);
  }

  /**
   * Overrides calls at random, the same ones for the same seed.
   *
   * @param probability more than 0, at most 1
   * @param seed any number
   * @throws IllegalArgumentException if the probability is out of range
   */
  public ReturnOverride withProbability(double probability, long seed) {
    return new ReturnOverride(
        returned, errno, every, Optional.of(new Chance(probability, seed)), times, duration);
  }

  /**
   * Overrides exactly {@code limit} calls, if there are as many; later ones run as the original.
   *
   * @throws IllegalArgumentException if {@code limit} is less than 1
   */
  public ReturnOverride atMost(long limit) {
    return new ReturnOverride(returned, errno, every, chance, OptionalLong.of(limit), duration);
  }

  /**
   * Overrides calls for a while. The target looks at its own clock, so it ends also if this JVM has
   * ended; the clock is CLOCK_MONOTONIC_COARSE, which moves on with the kernel's tick, so that it
   * may last longer by 1 to 10 milliseconds, as the kernel was built. While the machine is
   * suspended, it stands still.
   *
   * @param length from when the override is put in place: positive, at most 100 years
   * @throws IllegalArgumentException if it is out of range
   */
  public ReturnOverride lasting(Duration length) {
    return new ReturnOverride(returned, errno, every, chance, times, Optional.of(length));
  }

  /**
   * How many calls can be overridden: what {@link #times} and the number of values allow; empty
   * without a limit.
   */
  public OptionalLong limit() {
    OptionalLong values = returned.limit();
    return times.isEmpty() || values.isEmpty()
        ? (times.isEmpty() ? values : times)
        : OptionalLong.of(Math.min(times.getAsLong(), values.getAsLong()));
  }

  /** Whether it says the same of every call. */
  boolean isUnconditional() {
    return every == 1
        && chance.filter(each -> !each.isCertain()).isEmpty()
        && limit().isEmpty()
        && duration.isEmpty();
  }

  /** In words, fit for a list of patches: {@code returns -1 with errno EIO, one of 3 calls}. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder("returns ").append(returned);
    errno.ifPresent(number -> text.append(" with errno ").append(ErrnoNames.text(number)));
    if (every > 1) {
      text.append(", one of ").append(every).append(" calls");
    }
    chance.ifPresent(
        each ->
            text.append(", with probability ")
                .append(each.probability())
                .append(" (seed ")
                .append(each.seed())
                .append(')'));
    times.ifPresent(
        limit -> text.append(", at most ").append(limit).append(limit == 1 ? " time" : " times"));
    duration.ifPresent(length -> text.append(", for ").append(length));
    return text.toString();
  }
}
