package io.github.textpoke.apply;

import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import java.util.Optional;

/**
 * Looks for words on a thread's stack that may be instruction pointers to go on at: those that a
 * signal frame has saved, above all. Conservative: a word that happens to have such a value counts
 * too. Of one thread.
 *
 * <p>It reads from the stack pointer to the end of the mapping that holds it. Where a handler runs
 * on a stack of its own (sigaltstack(2)), the frame there tells where the interrupted stack goes
 * on, and that is read as well. Not found is what lies elsewhere: a context that a scheduler of the
 * program's own keeps on its heap.
 */
final class StackScan {
  private static final int CHUNK = 1 << 16;

  /** Bytes of a stack that are looked at: twice what most threads may use. */
  private static final long MOST = 16 << 20;

  /** Stacks that one thread may have: its own, and one for handlers, and what we don't know. */
  private static final int MOST_STACKS = 4;

  /**
   * The segments that a signal frame saves: cs 0x33, gs 0, fs 0, ss 0x2b, of two bytes each. Before
   * them lie rsp, rip and eflags, of eight (arch/x86/include/uapi/asm/sigcontext.h).
   */
  static final long SEGMENTS = 0x002b_0000_0000_0033L;

  private static final int RSP_BEFORE_SEGMENTS = 3;

  private final ProcMem memory;
  private final NativeBytes chunk = new NativeBytes(CHUNK);

  /** The word that was found last. */
  private long found;

  /** The last three words, oldest first: they may be in the chunk before. */
  private final long[] before = new long[RSP_BEFORE_SEGMENTS];

  /** The stack pointer that the last signal frame has saved; 0: none was met. */
  private long interrupted;

  StackScan(ProcMem memory) {
    this.memory = memory;
  }

  /**
   * Absolute address of a word on the stack that {@code boundaries} leads elsewhere, 0 where there
   * is none.
   *
   * @param map the target's mappings, read when the thread had this stack already
   * @param stackPointer absolute
   */
  long find(MemoryMap map, long stackPointer, Addresses boundaries) {
    long next = stackPointer;
    for (int stack = 0; stack < MOST_STACKS && next != 0; stack++) {
      Optional<Mapping> mapping = map.at(next);
      if (mapping.isEmpty()) {
        return 0;
      }
      long from = next & -Long.BYTES;
      long end = Math.min(mapping.get().end(), from + MOST);
      next = 0;
      interrupted = 0;
      long word = scan(from, end, boundaries);
      if (word != 0) {
        return word;
      }
      if (interrupted < from || interrupted >= end) {
        next = interrupted;
      }
    }
    return 0;
  }

  /** What stands where {@link #find} has found something: a boundary, absolute. */
  long found() {
    return found;
  }

  private long scan(long from, long end, Addresses boundaries) {
    for (long at = from; at < end; at += CHUNK) {
      int length = (int) Math.min(CHUNK, end - at);
      long count = memory.read(at, chunk.address(0), length);
      for (int offset = 0; offset + Long.BYTES <= count; offset += Long.BYTES) {
        long word = chunk.getLong(offset);
        if (boundaries.get(word) != 0) {
          found = word;
          return at + offset;
        }
        if (word == SEGMENTS) {
          interrupted = before[0];
        }
        before[0] = before[1];
        before[1] = before[2];
        before[2] = word;
      }
      if (count < length) {
        return 0;
      }
    }
    return 0;
  }
}
