package io.github.textpoke.verify;

import io.github.textpoke.CodeBytes;
import java.util.ArrayList;
import java.util.List;

/**
 * The bytes of one site as cores may see them: per byte, the value at the last core sync and every
 * value written since. Mutable, for one thread.
 *
 * <p>Time counts half steps: step {@code n}, from 1, is under way at {@code 2n - 1} and complete at
 * {@code 2n}. While a write is under way a byte of it is still old or already new.
 */
final class VisibleBytes {
  /** Until now and further. */
  private static final int STILL = Integer.MAX_VALUE;

  private final List<List<Sighting>> bytes = new ArrayList<>();

  VisibleBytes(CodeBytes initial) {
    for (int i = 0; i < initial.length(); i++) {
      List<Sighting> sightings = new ArrayList<>(3);
      sightings.add(new Sighting(initial.at(i), 0, 0, STILL));
      bytes.add(sightings);
    }
  }

  /** Step {@code step} writes {@code values} from {@code offset} on. */
  void write(int offset, CodeBytes values, int step) {
    int underWay = 2 * step - 1;
    for (int i = 0; i < values.length(); i++) {
      List<Sighting> sightings = bytes.get(offset + i);
      sightings.set(sightings.size() - 1, last(sightings).until(underWay));
      sightings.add(new Sighting(values.at(i), step, underWay, STILL));
    }
  }

  /** Every core forgets what it fetched: only the values of now are left. */
  void sync() {
    for (List<Sighting> sightings : bytes) {
      sightings.subList(0, sightings.size() - 1).clear();
    }
  }

  /** What memory holds now from {@code from}, inclusive, to {@code to}, exclusive. */
  CodeBytes memory(int from, int to) {
    byte[] memory = new byte[to - from];
    for (int i = from; i < to; i++) {
      memory[i - from] = (byte) last(bytes.get(i)).value();
    }
    return CodeBytes.of(memory);
  }

  /** The number of bytes. */
  int length() {
    return bytes.size();
  }

  /** All that may be seen at {@code offset}, oldest first. */
  List<Sighting> at(int offset) {
    return bytes.get(offset);
  }

  /** Whether a core may see {@code values} from {@code offset} on, each byte taken by itself. */
  boolean mayShow(int offset, CodeBytes values) {
    for (int i = 0; i < values.length(); i++) {
      int value = values.at(i);
      if (bytes.get(offset + i).stream().noneMatch(sighting -> sighting.value() == value)) {
        return false;
      }
    }
    return true;
  }

  /** Whether a core can see nothing but {@code value} at {@code offset}. */
  boolean showsOnly(int offset, int value) {
    return bytes.get(offset).stream().allMatch(sighting -> sighting.value() == value);
  }

  private static Sighting last(List<Sighting> sightings) {
    return sightings.get(sightings.size() - 1);
  }

  /**
   * A value that a core may see.
   *
   * @param value 0 to 255
   * @param step the step that wrote it, from 1; 0: it stood there before the plan
   * @param from first half step at which memory may hold it
   * @param to last one
   */
  record Sighting(int value, int step, int from, int to) {
    private Sighting until(int end) {
      return new Sighting(value, step, from, end);
    }
  }
}
