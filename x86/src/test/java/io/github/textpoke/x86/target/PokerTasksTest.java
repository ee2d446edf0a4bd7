package io.github.textpoke.x86.target;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.target.EmittedCode.Line;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** What must hold for the whole code of helper and poker, whatever they do. */
@RequiresZydis
final class PokerTasksTest {
  private static final PokerTasks TASKS = new PokerTasks();

  /** From the first byte to the last, read by both decoders without disagreement. */
  private static final ImmutableList<Line> LINES = EmittedCode.of(TASKS.code());

  private static final ImmutableMap<Integer, Line> BY_OFFSET =
      LINES.stream().collect(ImmutableMap.toImmutableMap(Line::offset, line -> line));

  private static final ImmutableSet<Integer> ROUTINES =
      TASKS.notes().entrySet().stream()
          .filter(note -> !note.getValue().startsWith(" "))
          .map(Map.Entry::getKey)
          .collect(ImmutableSet.toImmutableSet());

  private static int target(Line line) {
    return (int) line.instruction().directTarget().orElseThrow();
  }

  private static int end(Line line) {
    return (int) line.instruction().end();
  }

  @Test
  void branchesLeadToInstructionsOfTheCode() {
    assertThat(LINES)
        .filteredOn(line -> line.instruction().flow().hasDirectTarget())
        .isNotEmpty()
        .allSatisfy(line -> assertThat(BY_OFFSET).containsKey(target(line)));
  }

  @Test
  void callsLeadToRoutines() {
    assertThat(LINES)
        .filteredOn(line -> line.instruction().flow() == Flow.CALL)
        .isNotEmpty()
        .allSatisfy(line -> assertThat(ROUTINES).contains(target(line)));
  }

  @Test
  void noOtherFlowLeavesTheCode() {
    assertThat(LINES)
        .extracting(line -> line.instruction().flow())
        .containsOnly(
            Flow.NEXT,
            Flow.JUMP,
            Flow.CONDITIONAL_JUMP,
            Flow.CALL,
            Flow.RETURN,
            Flow.SYSTEM_CALL,
            Flow.FAULT);
  }

  @Test
  void noRoutineRunsIntoTheNext() {
    assertThat(LINES)
        .filteredOn(line -> ROUTINES.contains(end(line)) || end(line) == TASKS.code().length())
        .hasSizeGreaterThan(1)
        .allSatisfy(line -> assertThat(line.instruction().flow().endsFlow()).isTrue());
  }

  /** So it neither reads nor writes itself, and runs wherever it is mapped. */
  @Test
  void onlyAddressesAreRelativeToTheCode() {
    assertThat(LINES)
        .filteredOn(line -> line.instruction().ripTarget().isPresent())
        .isNotEmpty()
        .allSatisfy(line -> assertThat(line.text()).startsWith("lea "))
        .allSatisfy(
            line ->
                assertThat(BY_OFFSET)
                    .containsKey((int) line.instruction().ripTarget().getAsLong()));
  }

  @Test
  void threadLocalStorageIsLeftAlone() {
    assertThat(LINES)
        .noneMatch(line -> Decoded.hasSegment(line.instruction().decoded()))
        .noneMatch(line -> line.text().matches(".*\\b[fg]s\\b.*"));
  }

  @Test
  void theStackPointerIsNeverNamed() {
    assertThat(LINES).noneMatch(line -> line.text().matches(".*\\b([re]?sp|spl)\\b.*"));
  }

  @Test
  void theBaseRegisterIsNeverWritten() {
    assertThat(LINES).noneMatch(line -> line.text().matches("\\S+ (rbx|ebx|bx|bl)\\b.*"));
  }

  /** The number stands in EAX right before each call, and nobody jumps in between. */
  @Test
  void onlyTheNamedSystemCallsAreMade() {
    Set<Integer> numbers = new TreeSet<>();
    Set<Integer> targets = new TreeSet<>();
    for (int i = 0; i < LINES.size(); i++) {
      if (LINES.get(i).instruction().flow().hasDirectTarget()) {
        targets.add(target(LINES.get(i)));
      }
    }
    for (int i = 1; i < LINES.size(); i++) {
      if (LINES.get(i).instruction().flow() == Flow.SYSTEM_CALL) {
        String before = LINES.get(i - 1).text();
        assertThat(before).matches("xor eax, eax|mov eax, 0x[0-9A-F]+");
        numbers.add(before.startsWith("xor") ? 0 : Integer.decode(before.substring(9)));
        assertThat(targets).doesNotContain(LINES.get(i).offset());
      }
    }
    assertThat(numbers).isEqualTo(TASKS.systemCalls());
  }

  /** Variables have one place each, so a routine that runs twice at once would spoil its own. */
  @Test
  void noRoutineCallsItselfAndTheStackSuffices() {
    Map<Integer, Integer> stacks = new HashMap<>();
    ROUTINES.stream().sorted(Comparator.reverseOrder()).forEach(entry -> stack(entry, stacks));
    int most = Collections.max(stacks.values());
    assertThat(most).isBetween(Long.BYTES, SessionLayout.HELPER_STACK - SessionLayout.SCRATCH >> 3);
  }

  /**
   * Bytes of stack that a routine needs, with those that it calls. Every way through it must pop
   * what it pushes.
   */
  private static int stack(int routine, Map<Integer, Integer> stacks) {
    Integer known = stacks.get(routine);
    if (known != null) {
      assertThat(known).as("routine at %x calls itself", routine).isNotNegative();
      return known;
    }
    stacks.put(routine, -1);
    Map<Integer, Integer> depths = new HashMap<>();
    int most = walk(routine, 0, depths, stacks);
    stacks.put(routine, most);
    return most;
  }

  private static int walk(
      int start, int startDepth, Map<Integer, Integer> depths, Map<Integer, Integer> stacks) {
    int most = startDepth;
    int depth = startDepth;
    for (int at = start; depths.get(at) == null; ) {
      depths.put(at, depth);
      Line line = BY_OFFSET.get(at);
      if (line.text().startsWith("push")) {
        depth += Long.BYTES;
      } else if (line.text().startsWith("pop")) {
        depth -= Long.BYTES;
      }
      assertThat(depth).isNotNegative();
      most = Math.max(most, depth);
      switch (line.instruction().flow()) {
        case CALL -> most = Math.max(most, depth + Long.BYTES + stack(target(line), stacks));
        case CONDITIONAL_JUMP -> most = Math.max(most, walk(target(line), depth, depths, stacks));
        case RETURN -> assertThat(depth).as("popped at %x", at).isZero();
        default -> {}
      }
      if (line.instruction().flow() == Flow.JUMP) {
        at = target(line);
      } else if (line.instruction().flow().endsFlow()) {
        return most;
      } else {
        at = end(line);
      }
      assertThat(depths.getOrDefault(at, depth)).as("depth at %x", at).isEqualTo(depth);
    }
    return most;
  }
}
