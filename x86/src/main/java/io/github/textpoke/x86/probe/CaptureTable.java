package io.github.textpoke.x86.probe;

import io.github.textpoke.CodeBytes;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.ThreadLocalRandom;

/**
 * How the data of a capturing probe lies in the target, little-endian:
 *
 * <pre>
 *   counters  a {@link CounterTable}
 *   head      {@link Epochs}; and behind them
 *             u64 mark: 16 random bits at the top, what tells notes of ours from what was left in
 *             the memory
 *   head+128  u64 tickets: how many records were begun
 *   head+256  u64 unkept: of how many calls there will be no record, though they were counted
 *   slots     of the ring, {@value #SLOT} bytes each; ticket t is for slot t modulo their number
 *   cells     where what they return is asked for: {@link StackCells} for notes
 * </pre>
 *
 * <p>A slot: u64 state: 2t+1 while ticket t's record is written, 2t+2 when it is complete, 0
 * before; u64 how many tickets have completed it; u64 how many have found it taken; u32 function;
 * u32 thread id, or 0; u64 time-stamp counter at the entry; u64 thread pointer; u64 time-stamp
 * counter at the exit; u64 rax there; u64 kind; and the arguments' registers.
 *
 * <p>A note: u64 owner: mark + the time-stamp counter without its highest 16 bits, and bit 0 set;
 * mark alone while it is written or read; anything else: nobody's; u64 the stack pointer, where the
 * return address is; u64 epoch + function; u64 the time-stamp counter at the entry; and the
 * arguments' registers.
 *
 * @param functions how many there are
 * @param threads how many have a row of counters of their own, a power of two
 * @param records how many slots there are, a power of two
 * @param isPaired whether there are cells
 */
record CaptureTable(int functions, int threads, int records, boolean isPaired) {
  static final int MARK = 24;
  static final int TICKETS = 128;
  static final int UNKEPT = 256;
  private static final int HEAD = 384;

  static final int SLOT = 128;

  static final int STATE = 0;
  static final int COMPLETED = 8;
  static final int REFUSED = 16;
  static final int FUNCTION = 24;
  static final int THREAD = 28;
  static final int BEGUN = 32;
  static final int POINTER = 40;
  static final int ENDED = 48;
  static final int RETURNED = 56;
  static final int KIND = 64;
  static final int ARGUMENTS = 72;

  /** A {@link #KIND}: the call has begun. */
  static final int ENTERED = 0;

  /** It has returned. */
  static final int HAS_RETURNED = 1;

  /** It has gone on in another function. */
  static final int HAS_GONE_ON = 2;

  static final int NOTE = 128;

  static final int NOTE_OWNER = 0;
  static final int NOTE_POINTER = 8;
  static final int NOTE_TAG = 16;
  static final int NOTE_BEGUN = 24;
  static final int NOTE_ARGUMENTS = 32;

  /** Of the time-stamp counter, in an owner. */
  static final int MARK_BITS = 16;

  private static final int GROUPS_PER_THREAD = 4;

  CounterTable counters() {
    return new CounterTable(functions, threads);
  }

  StackCells cells() {
    return new StackCells(GROUPS_PER_THREAD * threads, NOTE);
  }

  long head() {
    return counters().size();
  }

  long slots() {
    return head() + HEAD;
  }

  long firstCell() {
    return slots() + (long) records * SLOT;
  }

  /** Bytes of all. */
  long size() {
    return firstCell() + (isPaired ? cells().size() : 0);
  }

  /** Before the first call, up to the cells. */
  CodeBytes initial(long address, long generation) {
    ByteBuffer rest = ByteBuffer.allocate(HEAD + records * SLOT).order(ByteOrder.LITTLE_ENDIAN);
    rest.putLong(Epochs.GENERATION, generation);
    rest.putLong(
        MARK, ThreadLocalRandom.current().nextLong(1, 1L << MARK_BITS) << Long.SIZE - MARK_BITS);
    return counters().initial(address).concat(CodeBytes.of(rest.array()));
  }
}
