package io.github.textpoke.x86.detour;

import static io.github.textpoke.x86.detour.Bodies.ORIGINAL;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.detour.Bodies.Callees;
import io.github.textpoke.x86.detour.Bodies.Crossing;
import io.github.textpoke.x86.detour.Bodies.ErrorNumbers;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Bodies do on this processor what their overrides say, and nothing else. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
final class RunningBodiesTest {
  private static final int THREADS = 8;
  private static final int CALLS = 1_000_000;
  private static final long ALL = (long) THREADS * CALLS;
  private static final int RUNS = 20_000;
  private static final Duration ANY = Duration.ofSeconds(1);
  private static final ReturnOverride PLAIN = ReturnOverride.returning(-1);

  /** A second before the hostile clock's time of 10 s, and a second behind it. */
  private static final long PASSED_DEADLINE = 9_000_000_000L;

  private static final long DEADLINE = 11_000_000_000L;

  @TempDir static Path directory;

  private static Bodies bodies;

  @BeforeAll
  static void start() throws Exception {
    Bodies.compile(directory);
    bodies = new Bodies(directory);
  }

  @AfterAll
  static void end() throws Exception {
    bodies.close();
  }

  // ---------------------------------------------------------------- registers and stack

  @ParameterizedTest
  @MethodSource("io.github.textpoke.x86.detour.OverrideBodyTest#overrides")
  void nothingChangesButRaxOrNothingAtAll(ReturnOverride override) throws IOException {
    // All values are the same here, so that every overridden call is known to return it.
    ReturnOverride same =
        override.returned().limit().isEmpty()
            ? override
            : new ReturnOverride(
                ReturnOverride.returningInOrder(-1, -1, -1).returned(),
                override.errno(),
                override.every(),
                override.chance(),
                override.times(),
                override.duration());
    ReturnOverride often = same.every() > 1 ? same.everyNth(3) : same;
    bodies.load(often, Callees.HOSTILE, DEADLINE);

    Crossing crossing = bodies.cross(20261127, RUNS / 10, THREADS, -1);

    assertThat(crossing.difference()).isEqualTo("-");
    assertThat(crossing.passed() + crossing.overridden()).isEqualTo(RUNS / 10 * THREADS);
    assertThat(crossing.overridden()).isPositive();
    assertThat(crossing.passed() > 0)
        .isEqualTo(often.every() > 1 || often.chance().isPresent() || often.limit().isPresent());
  }

  @Test
  void nothingChangesAfterTheDeadline() throws IOException {
    bodies.load(PLAIN.withErrno(5).lasting(ANY), Callees.HOSTILE, PASSED_DEADLINE);

    assertThat(bodies.cross(1, RUNS, THREADS, -1))
        .isEqualTo(new Crossing((long) RUNS * THREADS, 0, "-"));
  }

  @Test
  void nothingChangesWithTheFunctionsOfTheSystem() throws IOException {
    bodies.load(PLAIN.withErrno(5).everyNth(2).lasting(ANY), Callees.REAL, Long.MAX_VALUE);

    assertThat(bodies.cross(2, RUNS, THREADS, -1))
        .isEqualTo(new Crossing(RUNS * THREADS / 2L, RUNS * THREADS / 2L, "-"));
  }

  @Test
  void allBitsOfAValueArrive() throws IOException {
    for (long value : new long[] {0, 1, -1, 0xffff_ffffL, 1L << 32, Long.MIN_VALUE}) {
      bodies.load(ReturnOverride.returning(value));
      assertThat(bodies.cross(3, 100, 1, value)).isEqualTo(new Crossing(0, 100, "-"));
      bodies.load(ReturnOverride.returning(value).withErrno(5));
      assertThat(bodies.cross(3, 100, 1, value)).isEqualTo(new Crossing(0, 100, "-"));
      bodies.load(ReturnOverride.returningInOrder(value));
      assertThat(bodies.cross(3, 100, 1, value)).isEqualTo(new Crossing(99, 1, "-"));
    }
  }

  /** What the comparison is worth: one instruction of the body is another. */
  @ParameterizedTest(name = "{3}")
  @CsvSource({
    "5a 59 58 9d 5d e9, 59 5a 58 9d 5d e9, rcx_was.*passed, rcx and rdx exchanged",
    "5a 59 58 9d 5d c3, 59 5a 58 9d 5d c3, rcx_was.*overridden, the same of an overridden call",
    "5a 59 58 9d 5d e9, 5a 59 59 9d 5d e9, rax_was.*passed, rax lost",
    "58 9d 5d e9, 58 59 5d e9, rcx_was.*passed, flags not restored",
    "50 51 52 56, 50 51 52 57, rsi_was, rdi saved for rsi",
    "41 5b 41 5a, 41 5a 41 5b, r10_was, r10 and r11 exchanged",
    "48 0f ae 6c 24 40, 0f 1f 44 00 00 90, state, vector registers not restored",
    "48 0f ae 64 24 40, 0f 1f 44 00 00 90, state, vector registers not saved",
    "b8 e7 00 00 00, b8 e3 00 00 00, state, all but the upper halves of ymm",
    "b8 e7 00 00 00, b8 e6 00 00 00, state, all but x87",
    "fc 31 c0, 90 31 c0, strange, the direction flag not cleared",
    "f3 0f 1e fa 55, f3 0f 1e fa 53, strange, a frame that is not linked",
    "bf 06 00 00 00, bf 01 00 00 00, strange, another clock",
  })
  void aWrongBodyIsNoticed(String right, String wrong, String difference, String what)
      throws Exception {
    try (Bodies own = new Bodies(directory)) {
      OverrideBody body =
          own.load(PLAIN.withErrno(5).everyNth(2).lasting(ANY), Callees.HOSTILE, DEADLINE);
      assertThat(own.cross(4, 1000, 1, -1)).isEqualTo(new Crossing(500, 500, "-"));

      String hex = body.code().hex();
      assertThat(hex).contains(right);
      own.load(new OverrideBody(CodeBytes.ofHex(hex.replace(right, wrong)), body.data()));

      assertThat(own.cross(4, 1000, 1, -1).difference()).as(what).containsPattern(difference);
    }
  }

  // ---------------------------------------------------------------- counts

  @ParameterizedTest
  @CsvSource({"2", "3", "7", "64", "999999", "8000000", "8000001", "9223372036854775807"})
  void everyNthIsExactInAllThreadsTogether(long n) throws IOException {
    bodies.load(PLAIN.everyNth(n));

    assertThat(bodies.call(THREADS, CALLS)).isEqualTo(counts(ALL - ALL / n, -1, ALL / n));
  }

  @Test
  void signalHandlersInTheBodyCountAsOthersDo() throws IOException {
    bodies.load(PLAIN.withErrno(5).everyNth(3).lasting(ANY), Callees.REAL, Long.MAX_VALUE);

    Crossing crossing = bodies.callInterrupted(3, 5_000);

    long all = crossing.passed() + crossing.overridden();
    assertThat(all).isGreaterThan(10_000);
    assertThat(crossing.overridden()).isEqualTo(all / 3);
  }

  @Test
  void everyNthIsTheNthAndNotAnother() throws IOException {
    bodies.load(PLAIN.everyNth(3));

    assertThat(bodies.callInOrder(7))
        .containsExactly(ORIGINAL, ORIGINAL, "-1", ORIGINAL, ORIGINAL, "-1", ORIGINAL);
  }

  @ParameterizedTest
  @CsvSource({"1", "7", "1000000", "7999999", "8000000", "8000001", "9223372036854775807"})
  void noMoreCallsAreOverriddenThanAsked(long times) throws IOException {
    ReturnOverride override = PLAIN.atMost(times);
    bodies.load(override);

    long overridden = Math.min(times, ALL);
    assertThat(bodies.call(THREADS, CALLS)).isEqualTo(counts(ALL - overridden, -1, overridden));
    assertThat(OverrideData.overridden(override, bodies.data(OverrideData.VALUES)))
        .hasValue(overridden);
  }

  @Test
  void theFirstCallsAreOverridden() throws IOException {
    bodies.load(PLAIN.atMost(2));

    assertThat(bodies.callInOrder(4)).containsExactly("-1", "-1", ORIGINAL, ORIGINAL);
  }

  @Test
  void valuesComeInOrderAndThenTheOriginal() throws IOException {
    bodies.load(ReturnOverride.returningInOrder(3, 5, 7));
    assertThat(bodies.callInOrder(5)).containsExactly("3", "5", "7", ORIGINAL, ORIGINAL);

    bodies.load(ReturnOverride.returningInOrder(3, 5, 7).atMost(2));
    assertThat(bodies.callInOrder(4)).containsExactly("3", "5", ORIGINAL, ORIGINAL);

    bodies.load(ReturnOverride.returningInOrder(3, 5, 7).atMost(4).everyNth(2));
    assertThat(bodies.callInOrder(8))
        .containsExactly(ORIGINAL, "3", ORIGINAL, "5", ORIGINAL, "7", ORIGINAL, ORIGINAL);
  }

  @Test
  void everyValueIsReturnedToOneThread() throws IOException {
    long[] values = LongStream.range(0, ReturnOverride.MAX_VALUES).map(i -> i * i - 5).toArray();
    ReturnOverride override =
        ReturnOverride.returningInOrder(values[0], LongStream.of(values).skip(1).toArray());
    bodies.load(override.everyNth(3));

    ImmutableMap.Builder<String, Long> expected = ImmutableMap.builder();
    expected.put(ORIGINAL, ALL - values.length);
    LongStream.of(values).forEach(value -> expected.put(Long.toString(value), 1L));
    assertThat(bodies.call(THREADS, CALLS)).isEqualTo(expected.buildOrThrow());
  }

  // ---------------------------------------------------------------- probability

  @ParameterizedTest
  @CsvSource({"0.5,42", "0.001,-7", "0.9999,0", "0.3,9223372036854775807", "1e-6,3"})
  void asManyCallsAreOverriddenAsTheGeneratorPicks(double probability, long seed)
      throws IOException {
    bodies.load(PLAIN.withProbability(probability, seed));

    long picked = picks(probability, seed, (int) ALL).cardinality();
    assertThat(bodies.call(THREADS, CALLS)).isEqualTo(counts(ALL - picked, -1, picked));
  }

  @Test
  void thoseCallsAreOverriddenThatTheGeneratorPicks() throws IOException {
    bodies.load(PLAIN.withProbability(0.3, 99));

    BitSet picks = picks(0.3, 99, 2000);
    assertThat(bodies.callInOrder(2000))
        .isEqualTo(IntStream.range(0, 2000).mapToObj(i -> picks.get(i) ? "-1" : ORIGINAL).toList());
  }

  @Test
  void theThresholdIsExactToTheLastBit() throws IOException {
    // The seed for which the first number is 2^63: just not below one half.
    long draw = Long.MIN_VALUE;
    long seed = unmixed(draw) - OverrideData.STEP;
    assertThat(new SplittableRandom(seed).nextLong()).isEqualTo(draw);

    bodies.load(PLAIN.withProbability(0.5, seed));
    assertThat(bodies.callInOrder(1)).containsExactly(ORIGINAL);
    bodies.load(PLAIN.withProbability(Math.nextUp(0.5), seed));
    assertThat(bodies.callInOrder(1)).containsExactly("-1");
    bodies.load(PLAIN.withProbability(0.5, unmixed(draw - 1) - OverrideData.STEP));
    assertThat(bodies.callInOrder(1)).containsExactly("-1");
  }

  @Test
  void conditionsAreTestedInTheirOrder() throws IOException {
    bodies.load(PLAIN.atMost(50).withProbability(0.25, 5).everyNth(3));

    BitSet picks = picks(0.25, 5, 1000);
    List<String> expected = new ArrayList<>();
    int taken = 0;
    for (int call = 1; call <= 3000; call++) {
      boolean overridden = call % 3 == 0 && picks.get(call / 3 - 1) && taken < 50;
      taken += overridden ? 1 : 0;
      expected.add(overridden ? "-1" : ORIGINAL);
    }
    assertThat(taken).isEqualTo(50);
    assertThat(bodies.callInOrder(3000)).isEqualTo(expected);
  }

  // ---------------------------------------------------------------- deadline

  @Test
  void theOriginalRunsFromTheNanosecondOfTheDeadlineOn() throws IOException {
    bodies.load(PLAIN.lasting(ANY), Callees.HOSTILE, 12_345_678_901L);
    try {
      bodies.setClock(12, 345_678_900);
      assertThat(bodies.callInOrder(2)).containsExactly("-1", "-1");
      bodies.setClock(12, 345_678_901);
      assertThat(bodies.callInOrder(1)).containsExactly(ORIGINAL);
    } finally {
      bodies.setClock(10, 0);
    }
    assertThat(bodies.callInOrder(1)).as("what has ended stays so").containsExactly(ORIGINAL);
  }

  @Test
  void theOriginalRunsWhereTheClockFails() throws IOException {
    bodies.load(PLAIN.lasting(ANY), Callees.HOSTILE, Long.MAX_VALUE);
    try {
      bodies.breakClock();
      assertThat(bodies.callInOrder(2)).containsExactly(ORIGINAL, ORIGINAL);
    } finally {
      bodies.setClock(10, 0);
    }
    assertThat(bodies.callInOrder(1)).as("it has not ended").containsExactly("-1");
  }

  @Test
  void theClockOfTheSystemIsBetweenPastAndFuture() throws IOException {
    bodies.load(PLAIN.lasting(ANY), Callees.REAL, 1);
    assertThat(bodies.call(THREADS, 1000)).isEqualTo(ImmutableMap.of(ORIGINAL, 8000L));

    bodies.load(PLAIN.lasting(ANY), Callees.REAL, Long.MAX_VALUE);
    assertThat(bodies.call(THREADS, 1000)).isEqualTo(ImmutableMap.of(ORIGINAL, 0L, "-1", 8000L));
  }

  @Test
  void aPassedDeadlineTakesNoTimes() throws IOException {
    ReturnOverride override = PLAIN.atMost(3).lasting(ANY);
    bodies.load(override, Callees.HOSTILE, DEADLINE);
    assertThat(bodies.callInOrder(2)).containsExactly("-1", "-1");
    try {
      bodies.setClock(20, 0);
      assertThat(bodies.call(THREADS, 1000)).isEqualTo(ImmutableMap.of(ORIGINAL, 8000L));
    } finally {
      bodies.setClock(10, 0);
    }
    assertThat(OverrideData.overridden(override, bodies.data(OverrideData.VALUES))).hasValue(2);
  }

  // ---------------------------------------------------------------- errno

  @ParameterizedTest
  @EnumSource
  void errnoIsSetInTheCallingThreadOnly(Callees callees) throws IOException {
    bodies.load(PLAIN.withErrno("EIO"), callees, 0);

    boolean real = callees == Callees.REAL;
    assertThat(bodies.errnoAfterCall(77))
        .isEqualTo(new ErrorNumbers(real ? 5 : 77, real ? 77 : 5, 77, 77));
  }

  @Test
  void errnoStaysWhereTheOriginalRuns() throws IOException {
    bodies.load(PLAIN.withErrno("EIO").everyNth(2), Callees.REAL, 0);

    assertThat(bodies.errnoAfterCall(77)).isEqualTo(new ErrorNumbers(77, 77, 77, 77));
    assertThat(bodies.errnoAfterCall(77)).isEqualTo(new ErrorNumbers(5, 77, 77, 77));
  }

  // ----------------------------------------------------------------

  private static ImmutableMap<String, Long> counts(long originals, long value, long overridden) {
    return overridden == 0
        ? ImmutableMap.of(ORIGINAL, originals)
        : ImmutableMap.of(ORIGINAL, originals, Long.toString(value), overridden);
  }

  /** What the JDK's generator picks. */
  private static BitSet picks(double probability, long seed, int count) {
    SplittableRandom random = new SplittableRandom(seed);
    double threshold = Math.ceil(probability * 0x1p64); // exact: a power of two
    long limit =
        threshold < 0x1p63 ? (long) threshold : (long) (threshold - 0x1p63) + Long.MIN_VALUE;
    BitSet picks = new BitSet(count);
    for (int i = 0; i < count; i++) {
      picks.set(i, Long.compareUnsigned(random.nextLong(), limit) < 0);
    }
    return picks;
  }

  /** The inverse of SplittableRandom's mix64. */
  private static long unmixed(long mixed) {
    long value = unfolded(mixed, 31) * inverse(0x94d0_49bb_1331_11ebL);
    value = unfolded(value, 27) * inverse(0xbf58_476d_1ce4_e5b9L);
    return unfolded(value, 30);
  }

  private static long unfolded(long folded, int shift) {
    return folded ^ (folded >>> shift) ^ (folded >>> 2 * shift);
  }

  private static long inverse(long odd) {
    return BigInteger.valueOf(odd).modInverse(BigInteger.ONE.shiftLeft(Long.SIZE)).longValue();
  }
}
