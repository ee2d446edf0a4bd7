package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The code of slots, without a process. */
final class ProbeWriterTest {
  private static final long BASE = 0x7f00_0000_0000L;
  private static final long DATA = BASE + 0x10000;
  private static final int JUMP = 5;

  @ParameterizedTest
  @CsvSource({"true, true", "true, false", "false, true", "false, false"})
  void aSlotHasRoomForTheLongestCopy(boolean isInside, boolean isShared) {
    for (ThreadKey key : ThreadKey.values()) {
      ProbeWriter writer =
          new ProbeWriter(
              BASE, DATA, new CounterTable(4096, 128), CallCondition.ALWAYS, key, isShared);
      for (int i = 0; i < 4096; i++) {
        writer.slot(i, isInside, at -> CodeBytes.filled(OutOfLineCopy.maxSize(JUMP), 0x90));
      }
      assertThat(writer.bytes().length()).isEqualTo(CountSlots.codeSize(4096));
    }
  }
}
