package io.github.textpoke.benchmarks;

import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Threads of this JVM that allocate without end, in a heap that is tiny: it collects all the time.
 * Not by {@code System.gc()} in a loop, between whose pauses no other thread gets to run: then
 * nothing is poked either. It ends with {@link #close}.
 */
final class GcStorm implements AutoCloseable {
  private static final int ALLOCATORS = 2;
  private static final int BLOCK = 16 * 1024;
  private static final int BLOCKS_KEPT = 512;

  private final AtomicBoolean over = new AtomicBoolean();
  private final List<Thread> threads = new ArrayList<>();

  GcStorm() {
    for (int i = 0; i < ALLOCATORS; i++) {
      start(GcStorm::allocate);
    }
  }

  private void start(Runnable gust) {
    Thread thread =
        new Thread(
            () -> {
              while (!over.get()) {
                gust.run();
              }
            },
            "gc-storm-" + threads.size());
    thread.setDaemon(true);
    threads.add(thread);
    thread.start();
  }

  /** Some of it lives for a while, so that there is something to copy. */
  private static void allocate() {
    byte[][] kept = new byte[BLOCKS_KEPT][];
    for (int i = 0; i < kept.length; i++) {
      kept[i] = new byte[BLOCK];
    }
  }

  /** Milliseconds for which this JVM has collected garbage since it started. */
  static long millis() {
    return ManagementFactory.getGarbageCollectorMXBeans().stream()
        .mapToLong(GarbageCollectorMXBean::getCollectionTime)
        .sum();
  }

  @Override
  public void close() {
    over.set(true);
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException later) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
