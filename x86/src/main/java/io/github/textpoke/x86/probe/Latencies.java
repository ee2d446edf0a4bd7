package io.github.textpoke.x86.probe;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.primitives.ImmutableLongArray;

/**
 * How long calls of one function took, from the entry to the exit, in nanoseconds. Times are the
 * highest of a bucket's: never shorter than it was, and at most an eighth longer. A call that goes
 * on in another function by a jump at its end is timed until there. Immutable and thread-safe.
 */
public final class Latencies {
  private final ImmutableLongArray buckets;
  private final double nanosPerTick;
  private final long count;

  /**
   * @param buckets as {@link LatencyTable#bucket} numbers them; empty: no calls
   * @param nanosPerTick of the time-stamp counter
   */
  Latencies(ImmutableLongArray buckets, double nanosPerTick) {
    this.buckets = buckets;
    this.nanosPerTick = nanosPerTick;
    this.count = buckets.stream().sum();
  }

  /** How many calls were timed. */
  public long count() {
    return count;
  }

  /**
   * A time that so many of the calls did not exceed, in nanoseconds; 0 where there are none.
   *
   * @param part of all calls, from 0 to 1: 0.5 for the median
   */
  public long quantile(double part) {
    checkArgument(part >= 0 && part <= 1, "a part of %s", part);
    long wanted = Math.max(1, (long) Math.ceil(part * count));
    long seen = 0;
    for (int i = 0; i < buckets.length(); i++) {
      seen += buckets.get(i);
      if (seen >= wanted) {
        return (long) Math.ceil(LatencyTable.mostTicks(i) * nanosPerTick);
      }
    }
    return 0;
  }

  /** The median, in nanoseconds; 0 where there are no calls. */
  public long p50() {
    return quantile(0.5);
  }

  /** What 99 of 100 calls did not exceed, in nanoseconds; 0 where there are none. */
  public long p99() {
    return quantile(0.99);
  }

  /** The longest, in nanoseconds; 0 where there are no calls. */
  public long max() {
    return quantile(1);
  }

  /**
   * Of the calls that were timed since.
   *
   * @param before of the same function and the same probe
   */
  public Latencies since(Latencies before) {
    ImmutableLongArray.Builder difference = ImmutableLongArray.builder(buckets.length());
    for (int i = 0; i < buckets.length(); i++) {
      difference.add(buckets.get(i) - (i < before.buckets.length() ? before.buckets.get(i) : 0));
    }
    return new Latencies(difference.build(), nanosPerTick);
  }

  @Override
  public String toString() {
    return "%d calls, p50 %d ns, p99 %d ns, at most %d ns".formatted(count, p50(), p99(), max());
  }
}
