package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import java.util.concurrent.locks.LockSupport;

/** What else goes on in a JVM that patches, from when it has patched each site once. */
enum PatcherLoad {
  /** Nothing. */
  NONE("-Xmx64m") {
    @Override
    void start() {
      // Nothing to start.
    }
  },

  /** It collects garbage all the time, and so stops all its threads again and again. */
  GARBAGE("-Xmx24m") {
    @Override
    void start() {
      PatcherProgram.daemon(
          () -> {
            byte[][] kept = new byte[64][];
            for (int i = 0; ; i++) {
              kept[i % kept.length] = new byte[16 * 1024];
              if (i % 64 == 0) {
                System.gc();
              }
            }
          },
          "garbage");
    }
  },

  /** Its heap is full again and again, so that every thread runs out of memory. */
  FULL_HEAP("-Xmx32m") {
    @Override
    void start() {
      PatcherProgram.daemon(PatcherLoad::fillAgainAndAgain, "full heap");
    }
  };

  private static final int LARGE = 1 << 20;
  private static final int SMALL = 16;
  private static final int REFUSALS = 50;
  private static final long BREATH_NANOS = 300_000_000;

  final ImmutableList<String> jvmOptions;

  PatcherLoad(String... jvmOptions) {
    this.jvmOptions = ImmutableList.copyOf(jvmOptions);
  }

  abstract void start();

  private static void fillAgainAndAgain() {
    while (true) {
      fill();
      // In between it can get some work done, to be caught in.
      LockSupport.parkNanos(BREATH_NANOS);
    }
  }

  /** Each block holds the one before it, so that filling takes no list that could not grow. */
  private static void fill() {
    Object[] blocks = null;
    int refusals = 0;
    for (int length = LARGE; refusals < REFUSALS; ) {
      try {
        Object[] block = new Object[length];
        block[0] = blocks;
        blocks = block;
      } catch (OutOfMemoryError full) {
        if (length > SMALL) {
          length /= 16;
        } else {
          refusals++;
        }
      }
    }
  }
}
