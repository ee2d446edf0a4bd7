package io.github.textpoke.x86.livepatch;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.Turn;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcMemReader;
import java.time.Duration;

/** Looks at the turn of the first live patch of a process from outside, while it changes. */
final class Turns {
  private Turns() {}

  /** Waits until threads that come to the gates have to wait. */
  static void awaitHeld(int pid, Duration timeout) {
    long turn =
        MemoryMap.read(pid).mappings().stream()
            .filter(mapping -> mapping.writable() && mapping.path().endsWith("live-patch-1"))
            .mapToLong(Mapping::start)
            .map(PatchHeader::turn)
            .findFirst()
            .orElseThrow();
    CodeBytes held = CodeBytes.of(new byte[] {Turn.HELD_OLD, 0, 0, 0});
    long deadline = System.nanoTime() + timeout.toNanos();
    try (ProcMemReader memory = new ProcMemReader(pid)) {
      while (!memory.read(turn, Integer.BYTES).equals(held)) {
        assertThat(System.nanoTime() - deadline).as("the hold of the turn").isNegative();
        Thread.onSpinWait();
      }
    }
  }
}
