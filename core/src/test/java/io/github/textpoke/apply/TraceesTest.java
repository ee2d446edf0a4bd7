package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.process.ProcStatus;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class TraceesTest {
  private static final int OPERATIONS = 20_000;

  /** What is known of one thread, in the model. */
  private record Known(int flags, long mask) {}

  private static List<Integer> allFlags() throws IllegalAccessException {
    List<Integer> flags = new ArrayList<>();
    for (Field field : Tracees.class.getDeclaredFields()) {
      int modifiers = field.getModifiers();
      if (Modifier.isStatic(modifiers)
          && Modifier.isFinal(modifiers)
          && field.getType() == int.class) {
        field.setAccessible(true);
        flags.add(field.getInt(null));
      }
    }
    return flags;
  }

  @Test
  void flagsAreDistinctBits() throws Exception {
    assertThat(allFlags())
        .hasSizeGreaterThan(1)
        .doesNotHaveDuplicates()
        .allMatch(flag -> Integer.bitCount(flag) == 1);
  }

  /** Few thread ids, so that most operations meet one that is there; many, so that it grows. */
  @ParameterizedTest
  @ValueSource(ints = {3, 40, 2_000})
  void behavesLikeASortedMap(int threads) throws Exception {
    SplittableRandom random = new SplittableRandom(7_919L * threads);
    List<Integer> flags = allFlags();
    Tracees tracees = new Tracees();
    TreeMap<Integer, Known> model = new TreeMap<>();
    for (int i = 0; i < OPERATIONS; i++) {
      int tid = 1 + random.nextInt(threads);
      int flag = flags.get(random.nextInt(flags.size()));
      int index = tracees.indexOf(tid);
      assertThat(index >= 0).isEqualTo(model.containsKey(tid));
      assertThat(tracees.contains(tid)).isEqualTo(model.containsKey(tid));
      int operation = random.nextInt(8);
      if (operation < 3) {
        int at = tracees.put(tid, flag);
        assertThat(tracees.tid(at)).isEqualTo(tid);
        Known old = model.get(tid);
        model.put(tid, new Known(flag, old == null ? 0 : old.mask()));
      } else if (operation == 3) {
        tracees.remove(tid);
        model.remove(tid);
      } else if (index >= 0) {
        Known old = model.get(tid);
        switch (operation) {
          case 4, 5 -> {
            tracees.set(index, flag);
            model.put(tid, new Known(old.flags() | flag, old.mask()));
          }
          case 6 -> {
            tracees.clear(index, flag);
            model.put(tid, new Known(old.flags() & ~flag, old.mask()));
          }
          case 7 -> {
            long mask = random.nextLong();
            tracees.setMask(index, mask);
            int others = old.flags() & ~Tracees.BLOCKS_SIGTRAP;
            boolean blocks = (mask & ProcStatus.SIGTRAP_BIT) != 0;
            model.put(tid, new Known(blocks ? others | Tracees.BLOCKS_SIGTRAP : others, mask));
          }
          default -> throw new AssertionError(operation);
        }
      }
      assertThat(tracees.size()).isEqualTo(model.size());
      if (i % 500 == 0 || i == OPERATIONS - 1) {
        compare(tracees, model, flags);
      }
    }
  }

  private static void compare(Tracees tracees, TreeMap<Integer, Known> model, List<Integer> flags) {
    int index = 0;
    for (Map.Entry<Integer, Known> entry : model.entrySet()) {
      assertThat(tracees.tid(index)).isEqualTo(entry.getKey());
      assertThat(tracees.indexOf(entry.getKey())).isEqualTo(index);
      assertThat(tracees.mask(index)).isEqualTo(entry.getValue().mask());
      for (int flag : flags) {
        assertThat(tracees.has(index, flag)).isEqualTo((entry.getValue().flags() & flag) != 0);
      }
      index++;
    }
    for (int flag : flags) {
      assertThat(tracees.count(flag))
          .isEqualTo(model.values().stream().filter(known -> (known.flags() & flag) != 0).count());
    }
  }

  @Test
  void removingAThreadThatIsNotTracedChangesNothing() {
    Tracees tracees = new Tracees();
    tracees.put(5, Tracees.PARKED);
    tracees.remove(4);
    assertThat(tracees.size()).isEqualTo(1);
    assertThat(tracees.has(tracees.indexOf(5), Tracees.PARKED)).isTrue();
  }

  @Test
  void aThreadIdThatIsUsedAgainStartsWithoutAMask() {
    Tracees tracees = new Tracees();
    tracees.setMask(tracees.put(5, 0), -1);
    tracees.remove(5);
    int index = tracees.put(5, 0);
    assertThat(tracees.mask(index)).isZero();
    assertThat(tracees.has(index, Tracees.BLOCKS_SIGTRAP)).isFalse();
  }
}
