package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class AddressMapTest {
  @Test
  void knowsWhatItWasMadeOfInBothHalvesOfTheAddressSpaceAndNothingElse() {
    SplittableRandom random = new SplittableRandom(17);
    Map<Long, Long> entries = new HashMap<>();
    for (int i = 0; i < 500; i++) {
      entries.put(random.nextLong(), 1 + random.nextLong(Long.MAX_VALUE));
    }
    AddressMap map = new AddressMap(entries);

    assertThat(map.isEmpty()).isFalse();
    entries.forEach((key, value) -> assertThat(map.get(key)).isEqualTo(value));
    for (long key : entries.keySet()) {
      for (long near : new long[] {key - 1, key + 1}) {
        assertThat(map.get(near)).isEqualTo(entries.getOrDefault(near, 0L));
      }
    }
  }

  @Test
  void anEmptyOneKnowsNothing() {
    AddressMap map = new AddressMap(Map.of());

    assertThat(map.isEmpty()).isTrue();
    assertThat(map.get(0)).isZero();
  }
}
