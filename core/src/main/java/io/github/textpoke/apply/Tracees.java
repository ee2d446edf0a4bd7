package io.github.textpoke.apply;

import io.github.textpoke.process.ProcStatus;
import java.util.Arrays;

/**
 * The threads that we trace, by thread id, with what is known of each: sorted arrays, so that
 * looking one up on the applying path allocates nothing. Of one thread.
 */
final class Tracees {
  /** It was seen to block SIGTRAP: an int3 of ours unblocks it. */
  static final int BLOCKS_SIGTRAP = 1;

  /** Born since the last plan: what it blocks is not settled. */
  static final int NEWBORN = 1 << 2;

  /** Of another process that shares the memory. */
  static final int SHARER = 1 << 3;

  /** Asked to stop, so that we see it clean before we leave. */
  static final int DRAINING = 1 << 4;

  /** Stopped, and waiting until the first byte of the site is written. */
  static final int PARKED = 1 << 5;

  /** Stopped with a SIGTRAP of the program's own, until the handler is put back. */
  static final int HELD = 1 << 6;

  /** Asked to stop, because all have to. */
  static final int STOPPING = 1 << 7;

  /** Stopped, because all have to be. */
  static final int STOPPED = 1 << 8;

  /** Stopped by job control, but has to report a trap first. */
  static final int REJOINS_GROUP_STOP = 1 << 9;

  /** Stopped by job control. */
  static final int GROUP_STOPPED = 1 << 10;

  /** It is not known yet to stand outside of the sites that are evacuated. */
  static final int EVACUATING = 1 << 11;

  /** Asked to stop, so that we see where it stands. */
  static final int ASKED = 1 << 12;

  /** Was blocked in a system call when the drain looked at it last. */
  static final int BLOCKED = 1 << 13;

  private int[] tids = new int[64];
  private int[] flags = new int[64];

  /** The signals that each was seen to block. */
  private long[] masks = new long[64];

  private int size;

  int size() {
    return size;
  }

  int tid(int index) {
    return tids[index];
  }

  boolean has(int index, int flag) {
    return (flags[index] & flag) != 0;
  }

  void set(int index, int flag) {
    flags[index] |= flag;
  }

  void clear(int index, int flag) {
    flags[index] &= ~flag;
  }

  /** Index of {@code tid}, negative where it is not traced. */
  int indexOf(int tid) {
    return Arrays.binarySearch(tids, 0, size, tid);
  }

  boolean contains(int tid) {
    return indexOf(tid) >= 0;
  }

  long mask(int index) {
    return masks[index];
  }

  /** Notes the signals that a thread blocks; bit n-1 is signal n. */
  void setMask(int index, long mask) {
    masks[index] = mask;
    if ((mask & ProcStatus.SIGTRAP_BIT) != 0) {
      flags[index] |= BLOCKS_SIGTRAP;
    } else {
      flags[index] &= ~BLOCKS_SIGTRAP;
    }
  }

  /** Adds {@code tid}, or replaces what is known of it; returns its index. */
  int put(int tid, int flag) {
    int index = indexOf(tid);
    if (index >= 0) {
      flags[index] = flag;
      return index;
    }
    int at = -index - 1;
    if (size == tids.length) {
      tids = Arrays.copyOf(tids, size * 2);
      flags = Arrays.copyOf(flags, size * 2);
      masks = Arrays.copyOf(masks, size * 2);
    }
    System.arraycopy(tids, at, tids, at + 1, size - at);
    System.arraycopy(flags, at, flags, at + 1, size - at);
    System.arraycopy(masks, at, masks, at + 1, size - at);
    tids[at] = tid;
    flags[at] = flag;
    masks[at] = 0;
    size++;
    return at;
  }

  void remove(int tid) {
    int at = indexOf(tid);
    if (at >= 0) {
      System.arraycopy(tids, at + 1, tids, at, size - at - 1);
      System.arraycopy(flags, at + 1, flags, at, size - at - 1);
      System.arraycopy(masks, at + 1, masks, at, size - at - 1);
      size--;
    }
  }

  int count(int flag) {
    int count = 0;
    for (int i = 0; i < size; i++) {
      if ((flags[i] & flag) != 0) {
        count++;
      }
    }
    return count;
  }
}
