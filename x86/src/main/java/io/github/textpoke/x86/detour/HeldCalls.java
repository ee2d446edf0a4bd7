package io.github.textpoke.x86.detour;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.apply.ObjectMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A detour that has each call of a function whose first argument is 0 wait until {@link #release
 * somebody has seen it}. It waits for about a second at most; then it goes on, and from then on no
 * call waits, until {@link #arm}. So a program whose patcher is gone waits once. A child that the
 * program forks waits for itself, once, since nobody sees its calls. Thread-safe.
 */
public final class HeldCalls {
  static final long IS_ARMED = 1;

  private final ObjectMemory memory;
  private final Detour detour;
  private final long data;

  HeldCalls(ObjectMemory memory, Detour detour, long data) {
    this.memory = memory;
    this.detour = detour;
    this.data = data;
  }

  /**
   * What it looks like in the program.
   *
   * @param visits how many calls have come that wait, since it was made
   * @param isArmed whether the next one waits
   */
  public record State(long visits, boolean isArmed) {}

  /** The detour that it is. */
  public Detour detour() {
    return detour;
  }

  /**
   * Looks; nothing of the program is stopped for it.
   *
   * @throws PatchException if the program is gone
   */
  public State state() {
    ByteBuffer block =
        ByteBuffer.wrap(memory.read(data, HoldingBody.DATA_SIZE).toByteArray())
            .order(ByteOrder.LITTLE_ENDIAN);
    return new State(
        block.getLong(WaitingCode.VISITS), block.getLong(WaitingCode.ARMED) == IS_ARMED);
  }

  /**
   * Lets calls go on, within a millisecond.
   *
   * @param visits the number of the last one, from 1
   * @throws PatchException of the type that names the cause
   */
  public void release(long visits) {
    write(WaitingCode.SEEN, visits);
  }

  /**
   * Has calls wait from now on, after one has waited in vain.
   *
   * @throws PatchException of the type that names the cause
   */
  public void arm() {
    write(WaitingCode.ARMED, IS_ARMED);
  }

  /**
   * Lets all calls go on, and takes the detour back.
   *
   * @throws PatchException as {@link Detour#revert}
   */
  public void revert() {
    write(WaitingCode.ARMED, 0);
    release(Long.MAX_VALUE);
    detour.revert();
  }

  private void write(int offset, long value) {
    memory.write(
        data + offset,
        CodeBytes.of(
            ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array()));
  }
}
