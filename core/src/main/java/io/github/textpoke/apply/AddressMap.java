package io.github.textpoke.apply;

import java.util.Arrays;
import java.util.Map;

/**
 * From absolute address to absolute address: sorted arrays, so that looking one up on the applying
 * path allocates nothing. Immutable and thread-safe.
 */
final class AddressMap implements Addresses {
  private final long[] keys;
  private final long[] values;

  /**
   * @param entries no value is 0
   */
  AddressMap(Map<Long, Long> entries) {
    keys = entries.keySet().stream().mapToLong(key -> key).sorted().toArray();
    values = new long[keys.length];
    for (int i = 0; i < keys.length; i++) {
      values[i] = entries.getOrDefault(keys[i], 0L);
    }
  }

  boolean isEmpty() {
    return keys.length == 0;
  }

  /** What {@code key} leads to, 0 where it is none. */
  @Override
  public long get(long key) {
    // Most of what is asked for is far away.
    if (keys.length == 0 || key < keys[0] || key > keys[keys.length - 1]) {
      return 0;
    }
    int index = Arrays.binarySearch(keys, key);
    return index < 0 ? 0 : values[index];
  }
}
