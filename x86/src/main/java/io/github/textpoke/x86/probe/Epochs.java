package io.github.textpoke.x86.probe;

import io.github.textpoke.apply.TargetProcess;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Which calls begin and end while the same probe is armed: entries note the epoch of then, and
 * exits compare. A head in the data, little-endian:
 *
 * <pre>
 *   u64 epoch: 0 while the probe is not armed, else a number that no arming before had
 *   u64 generation: what tells what is ours from what was left in the memory
 *   u64 the number of the last epoch
 * </pre>
 */
final class Epochs {
  static final int EPOCH = 0;
  static final int GENERATION = 8;
  static final int LAST = 16;

  /** What is added to an epoch's generation for each arming: above the number of any function. */
  static final long STEP = 1L << 20;

  /** Epochs of one generation. */
  private static final long EPOCHS = 1 << 12;

  private Epochs() {}

  static long newGeneration() {
    return (ThreadLocalRandom.current().nextInt() >>> 1) * (STEP * EPOCHS);
  }

  /**
   * Calls that begin from now on may be followed to their ends.
   *
   * @param head its absolute address
   */
  static void begin(TargetProcess process, long head) {
    long next = word(process, head + LAST) % (EPOCHS - 1) + 1;
    process.store(head + LAST, next);
    process.store(head + EPOCH, word(process, head + GENERATION) + next * STEP);
  }

  /** None is until {@link #begin}. */
  static void pause(TargetProcess process, long head) {
    process.store(head + EPOCH, 0);
  }

  private static long word(TargetProcess process, long address) {
    return ByteBuffer.wrap(process.read(address, Long.BYTES).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN)
        .getLong();
  }
}
