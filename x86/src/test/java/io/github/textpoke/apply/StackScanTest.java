package io.github.textpoke.apply;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.fixtures.RequiresPtrace;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Reads memory of this very JVM as if it were stacks. */
@RequiresPtrace
class StackScanTest {
  private static final int SIZE = 3 << 16;
  private static final long BOUNDARY = 0x5555_0123_4567L;
  private static final long SEGMENTS = 0x002b_0000_0000_0033L;
  private static final AddressMap BOUNDARIES = new AddressMap(Map.of(BOUNDARY, 0x7000L));

  private final NativeBytes stack = new NativeBytes(SIZE);
  private final NativeBytes ofHandler = new NativeBytes(SIZE);
  private ProcMem memory;
  private StackScan scan;

  @BeforeEach
  void open() {
    memory = ProcMem.open((int) ProcessHandle.current().pid(), new int[1]);
    assertThat(memory).isNotNull();
    scan = new StackScan(memory);
  }

  @AfterEach
  void close() {
    memory.close();
  }

  private static Mapping mapping(NativeBytes bytes, int from, int to) {
    return new Mapping(
        bytes.address(from), bytes.address(to), true, true, false, false, 0, "00:00", 0, "", false);
  }

  private MemoryMap map() {
    Mapping one = mapping(stack, 0, SIZE - 8);
    Mapping other = mapping(ofHandler, 0, SIZE);
    return new MemoryMap(
        Long.compareUnsigned(one.start(), other.start()) < 0
            ? ImmutableList.of(one, other)
            : ImmutableList.of(other, one));
  }

  @Test
  void findsAWordInAnyPartOfAStackAtOrAboveTheStackPointer() {
    for (int offset : new int[] {0, 8, 65_528, 65_536, 131_072, SIZE - 16}) {
      stack.putLong(offset, BOUNDARY);
      assertThat(scan.find(map(), stack.address(0), BOUNDARIES)).isEqualTo(stack.address(offset));
      assertThat(scan.found()).isEqualTo(BOUNDARY);
      // The stack pointer of odd code.
      assertThat(scan.find(map(), stack.address(offset + 3), BOUNDARIES))
          .isEqualTo(stack.address(offset));
      assertThat(scan.find(map(), stack.address(offset + 8), BOUNDARIES)).isZero();
      stack.putLong(offset, 0);
    }
  }

  @Test
  void findsNothingBehindTheEndOfTheMappingNorBesideTheBoundary() {
    stack.putLong(SIZE - 8, BOUNDARY);
    stack.putLong(64, BOUNDARY + 1);
    stack.putLong(72, BOUNDARY - 1);
    stack.putLong(84, BOUNDARY);
    assertThat(scan.find(map(), stack.address(0), BOUNDARIES)).isZero();
  }

  @Test
  void goesOnWhereTheHandlerOnAStackOfItsOwnHasInterruptedTheThread() {
    int[] frames = {256, 65_536 - 8, 65_536 - 16, 65_536};
    for (int frame : frames) {
      ofHandler.putLong(frame, stack.address(4_096)); // rsp
      ofHandler.putLong(frame + 8, 0x1234); // rip
      ofHandler.putLong(frame + 16, 0x246); // eflags
      ofHandler.putLong(frame + 24, SEGMENTS);
      stack.putLong(8_192, BOUNDARY);
      assertThat(scan.find(map(), ofHandler.address(128), BOUNDARIES))
          .as("frame at %s", frame)
          .isEqualTo(stack.address(8_192));
      stack.putLong(8_192, 0);
      assertThat(scan.find(map(), ofHandler.address(128), BOUNDARIES)).isZero();
      ofHandler.putLong(frame + 24, 0);
    }
  }

  @Test
  void framesThatLeadToEachOtherEnd() {
    for (NativeBytes[] pair : new NativeBytes[][] {{stack, ofHandler}, {ofHandler, stack}}) {
      pair[0].putLong(256, pair[1].address(0));
      pair[0].putLong(280, SEGMENTS);
    }
    assertThat(scan.find(map(), stack.address(0), BOUNDARIES)).isZero();
  }
}
