package io.github.textpoke.x86.probe;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableList;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Which calls a probe is for: those that pass all tests. It is decided by the thread that calls, at
 * the entry, in a few instructions for each test. Immutable and thread-safe.
 *
 * @param tests in their order; none: all calls
 */
public record CallCondition(ImmutableList<Test> tests) {
  /** All calls. */
  public static final CallCondition ALWAYS = new CallCondition(ImmutableList.of());

  /** The most tests. */
  public static final int MOST_TESTS = 16;

  /** How an argument is compared with a value. */
  public enum Comparison {
    EQUAL("=="),
    NOT_EQUAL("!="),
    LESS("<"),
    AT_MOST("<="),
    GREATER(">"),
    AT_LEAST(">=");

    private final String sign;

    Comparison(String sign) {
      this.sign = sign;
    }

    /** As in C. */
    public String sign() {
      return sign;
    }
  }

  /**
   * One test.
   *
   * @param argument the left side
   * @param value the right side, a number of the argument's type
   */
  public record Test(Argument argument, Comparison comparison, long value) {
    /** Checks that there is such a value: else it would always, or never, be passed. */
    public Test {
      checkArgument(argument.type().holds(value), "%s is never %s", argument, Long.toString(value));
    }

    @Override
    public String toString() {
      return argument + comparison.sign + argument.type().text(value);
    }
  }

  /** Checks how many there are. */
  public CallCondition {
    checkArgument(tests.size() <= MOST_TESTS, "%s tests, at most %s", tests.size(), MOST_TESTS);
  }

  static CallCondition of(Argument argument, Comparison comparison, long value) {
    return new CallCondition(ImmutableList.of(new Test(argument, comparison, value)));
  }

  /** Calls that pass the tests of both. */
  public CallCondition and(CallCondition other) {
    return new CallCondition(
        ImmutableList.<Test>builder().addAll(tests).addAll(other.tests).build());
  }

  /** Whether it is for all calls. */
  public boolean isAlways() {
    return tests.isEmpty();
  }

  /** As the command line takes it. */
  @Override
  public String toString() {
    return tests.stream().map(Test::toString).collect(Collectors.joining(" && "));
  }

  /** {@code i32} of {@link IntegerType#INT32}. */
  static String shortName(IntegerType type) {
    return type.name().toLowerCase(Locale.ROOT).replace("int", type.isSigned() ? "i" : "");
  }
}
