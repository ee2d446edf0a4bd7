package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.ImmutableLongArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

final class LatenciesTest {
  private static final double NANOS = 0.5;

  private static Latencies of(long... ticks) {
    long[] buckets = new long[LatencyTable.BUCKETS];
    for (long each : ticks) {
      buckets[LatencyTable.bucket(each)]++;
    }
    return new Latencies(ImmutableLongArray.copyOf(buckets), NANOS);
  }

  @Test
  void bucketsFollowOneAnotherAndNoneIsWiderThanAnEighth() {
    assertThat(LatencyTable.bucket(0)).isZero();
    long least = 0;
    for (int bucket = 0; least >>> LatencyTable.MOST_BITS == 0; bucket++) {
      long most = LatencyTable.mostTicks(bucket);
      assertThat(bucket).isLessThan(LatencyTable.BUCKETS);
      assertThat(LatencyTable.bucket(least)).isEqualTo(bucket);
      assertThat(LatencyTable.bucket(most)).isEqualTo(bucket);
      assertThat(most - least).isLessThanOrEqualTo(least / LatencyTable.PER_POWER);
      least = most + 1;
    }
  }

  @Test
  void aQuantileIsNoLessThanTheCallThatItIsOf() {
    Latencies times = of(3, 5, 1_000, 1_001, 1_000_000);
    assertThat(times.count()).isEqualTo(5);
    assertThat(times.quantile(0)).isEqualTo(2);
    assertThat(times.quantile(0.4)).isEqualTo(3);
    assertThat(times.p50()).isBetween(500L, 563L);
    assertThat(times.p99()).isBetween(500_000L, 562_500L);
    assertThat(times.max()).isEqualTo(times.p99());
    assertThatThrownBy(() -> times.quantile(1.1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void noCallsTakeNoTime() {
    Latencies none = new Latencies(ImmutableLongArray.of(), NANOS);
    assertThat(none.count()).isZero();
    assertThat(none.max()).isZero();
    assertThat(none.since(none).p50()).isZero();
  }

  @Test
  void aPeriodHasTheCallsThatItBegan() {
    Latencies before = of(100, 100, 100);
    Latencies all = of(100, 100, 100, 7, 7_000_000);
    Latencies since = all.since(before);
    assertThat(since.count()).isEqualTo(2);
    assertThat(since.quantile(0)).isEqualTo(4);
    assertThat(since.max()).isEqualTo(all.max());
    assertThat(all.since(new Latencies(ImmutableLongArray.of(), NANOS)).count()).isEqualTo(5);
  }

  @Test
  @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
  void theCountersTicksAreThoseOfTheMonotonicClock() {
    TimeStampCounter counter = TimeStampCounter.get();
    double nanosPerTick = counter.nanosPerTick();
    long outerBegin = System.nanoTime();
    long begin = counter.ticks();
    long innerBegin = System.nanoTime();
    double again = counter.nanosPerTick();
    long innerEnd = System.nanoTime();
    long end = counter.ticks();
    long outerEnd = System.nanoTime();
    assertThat(again).isCloseTo(nanosPerTick, within(nanosPerTick / 100));
    assertThat((end - begin) * again)
        .isBetween((innerEnd - innerBegin) * 0.99, (outerEnd - outerBegin) * 1.01);
  }
}
