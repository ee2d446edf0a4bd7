package io.github.textpoke.benchmarks;

import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/** Threads of this JVM that disturb it without end. They end with {@link #close}. */
final class Gusts implements AutoCloseable {
  private static final int ALLOCATORS = 2;
  private static final int BLOCK = 16 * 1024;
  private static final int BLOCKS_KEPT = 512;

  private final AtomicBoolean over = new AtomicBoolean();
  private final List<Thread> threads = new ArrayList<>();

  private Gusts() {}

  /**
   * They allocate, in a heap that is tiny: it collects all the time. Not by {@code System.gc()} in
   * a loop, between whose pauses no other thread gets to run: then nothing is poked either.
   */
  static Gusts ofGarbage() {
    Gusts gusts = new Gusts();
    for (int i = 0; i < ALLOCATORS; i++) {
      gusts.start("garbage-" + i, Gusts::allocate);
    }
    return gusts;
  }

  /**
   * As many write as much memory as the garbage fills, in the same blocks, and allocate nothing:
   * they take processors and caches from the others as a storm does, and nothing is ever collected.
   */
  static Gusts thatCopy() {
    byte[][] from = blocks();
    Gusts gusts = new Gusts();
    for (int i = 0; i < ALLOCATORS; i++) {
      byte[][] to = blocks();
      gusts.start("copying-" + i, () -> copy(from, to));
    }
    return gusts;
  }

  private void start(String name, Runnable gust) {
    Thread thread =
        new Thread(
            () -> {
              while (!over.get()) {
                gust.run();
              }
            },
            name);
    thread.setDaemon(true);
    threads.add(thread);
    thread.start();
  }

  /** Some of it lives for a while, so that there is something to copy. */
  private static void allocate() {
    blocks();
  }

  private static byte[][] blocks() {
    byte[][] kept = new byte[BLOCKS_KEPT][];
    for (int i = 0; i < kept.length; i++) {
      kept[i] = new byte[BLOCK];
    }
    return kept;
  }

  private static void copy(byte[][] from, byte[][] to) {
    for (int i = 0; i < from.length; i++) {
      System.arraycopy(from[i], 0, to[i], 0, BLOCK);
    }
  }

  /** Milliseconds for which this JVM has collected garbage since it started. */
  static long collectionMillis() {
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
