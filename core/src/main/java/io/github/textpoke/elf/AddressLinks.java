package io.github.textpoke.elf;

import java.util.Arrays;

/**
 * Pairs of link-time addresses, "from here to there", sorted by there: a word each, so that the
 * tens of thousands of a large object are one array. Addresses must lie within 4 GiB of each other.
 * Immutable and thread-safe.
 */
public final class AddressLinks {
  /** Collects pairs in any order. Not thread-safe. */
  public static final class Builder {
    private final long base;
    private long[] words = new long[64];
    private int size;

    /**
     * @param base the lowest address of the object
     */
    public Builder(long base) {
      this.base = base;
    }

    /** Whether a pair may hold {@code address}. */
    public boolean holds(long address) {
      return (address - base) >>> 32 == 0;
    }

    /** Adds a pair; {@link #holds} must be true of both. */
    public void add(long source, long target) {
      if (!holds(source) || !holds(target)) {
        throw new IllegalArgumentException(
            "0x%x to 0x%x: more than 4 GiB from 0x%x".formatted(source, target, base));
      }
      if (size == words.length) {
        words = Arrays.copyOf(words, 2 * size);
      }
      words[size++] = (target - base) << 32 | (source - base);
    }

    /** The pairs, sorted by target and then by source, each once. */
    public AddressLinks build() {
      long[] sorted = Arrays.copyOf(words, size);
      // The top bit belongs to the target: sort as numbers without sign.
      flip(sorted);
      Arrays.sort(sorted);
      flip(sorted);
      int kept = 0;
      for (int i = 0; i < sorted.length; i++) {
        if (i == 0 || sorted[i] != sorted[i - 1]) {
          sorted[kept++] = sorted[i];
        }
      }
      return new AddressLinks(base, kept == sorted.length ? sorted : Arrays.copyOf(sorted, kept));
    }

    private static void flip(long[] words) {
      for (int i = 0; i < words.length; i++) {
        words[i] ^= Long.MIN_VALUE;
      }
    }
  }

  private final long base;
  private final long[] words;

  private AddressLinks(long base, long[] words) {
    this.base = base;
    this.words = words;
  }

  /** The number of pairs. */
  public int size() {
    return words.length;
  }

  /** Where pair {@code index} leads. */
  public long target(int index) {
    return base + (words[index] >>> 32);
  }

  /** Where pair {@code index} comes from. */
  public long source(int index) {
    return base + (words[index] & 0xffff_ffffL);
  }

  /** Index of the first pair that leads to {@code target} or behind it; {@link #size} if none. */
  public int firstFrom(long target) {
    int low = 0;
    int high = words.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (Long.compareUnsigned(target(middle), target) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
