package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.internal.Uninterruptibly;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.Arrays;
import java.util.Optional;

/**
 * Looks through a target's memory for instruction pointers that somebody has saved, elsewhere than
 * on the stack of a thread: a fiber that was interrupted and put aside by a signal handler of the
 * program's own. Conservative: a word that happens to have such a value counts too.
 *
 * <ol>
 *   <li>Assumes that breakpoints stand on all boundaries, and every core sees them, so that nobody
 *       is interrupted at one any more, and that the stacks of all threads were looked at.
 *   <li>Looks at private memory that the program may write, as far as it is present or swapped out.
 *   <li>The stack of a thread is left out as a whole where it is a mapping of its own, as those of
 *       pthread_create(3) are, with a guard below: what lies under the stack pointer there is what
 *       earlier calls have left.
 * </ol>
 *
 * <p>Of one thread.
 */
final class SavedContexts {
  private static final int CHUNK = 1 << 18;
  private static final int PAGE = 4096;
  private static final int PAGES = CHUNK / PAGE;

  /** Of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
  private static final long PRESENT = 1L << 63;

  private static final long SWAPPED = 1L << 62;
  private static final long OF_A_FILE = 1L << 61;

  /**
   * Of a struct ucontext that a signal frame holds: where it keeps ss_sp and ss_size of the stack
   * for handlers, and rip; and how far behind that the segments stand
   * (arch/x86/include/uapi/asm/ucontext.h and sigcontext.h).
   */
  private static final int STACK_IN_CONTEXT = 16;

  private static final int STACK_SIZE_IN_CONTEXT = 32;
  private static final int RIP_IN_CONTEXT = 40 + 16 * Long.BYTES;
  private static final int SEGMENTS_BEHIND_RIP = 2 * Long.BYTES;

  /** In /proc/PID/maps all that is ours begins with it. */
  private static final String OURS = "/memfd:" + PokerStart.NAME;

  private final NativeBytes chunk = new NativeBytes(CHUNK);
  private final ByteBuffer entries =
      ByteBuffer.allocate(PAGES * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);

  /** The word that was found last, and its absolute address; 0: none was. */
  private long found;

  private long foundAt;

  /** Where {@link #isFree} has found something: absolute address of the word. 0: nothing. */
  long at() {
    return foundAt;
  }

  /** What stands there: a boundary, absolute. 0: not all could be looked at in time. */
  long boundary() {
    return found;
  }

  /**
   * Looks for keys of {@code boundaries}.
   *
   * @param memory of process {@code pid}
   * @param stacks stack pointers of threads, whose stacks were looked at
   * @param deadline of {@link System#nanoTime}
   * @param beat called now and then
   * @return whether all was looked at and nothing found
   */
  boolean isFree(
      ProcMem memory, int pid, Addresses boundaries, long[] stacks, long deadline, Runnable beat) {
    found = 0;
    foundAt = 0;
    long[] sorted = stacks.clone();
    Arrays.sort(sorted);
    try (RandomAccessFile file = new RandomAccessFile("/proc/" + pid + "/pagemap", "r")) {
      FileChannel pages = file.getChannel();
      Optional<Mapping> below = Optional.empty();
      for (Mapping mapping : MemoryMap.read(pid).mappings()) {
        if (mayHold(mapping) && !isStack(mapping, below, sorted)) {
          for (long at = mapping.start(); at < mapping.end(); at += CHUNK) {
            int length = (int) Math.min(CHUNK, mapping.end() - at);
            if (scan(memory, pages, at, length, boundaries)) {
              return false;
            }
            beat.run();
            if (System.nanoTime() - deadline > 0) {
              return false;
            }
          }
        }
        below = Optional.of(mapping);
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return true;
  }

  private static boolean mayHold(Mapping mapping) {
    return mapping.writable()
        && mapping.readable()
        && !mapping.shared()
        && !mapping.path().startsWith(OURS);
  }

  /** A mapping with a guard below it, or the first thread's, in which a thread has its stack. */
  private static boolean isStack(Mapping mapping, Optional<Mapping> below, long[] stacks) {
    boolean isGuarded =
        below
            .filter(guard -> guard.end() == mapping.start())
            .filter(guard -> !guard.readable() && !guard.writable() && !guard.executable())
            .isPresent();
    if (!isGuarded && !mapping.path().equals("[stack]")) {
      return false;
    }
    int first = Arrays.binarySearch(stacks, mapping.start());
    int index = first < 0 ? -first - 1 : first;
    return index < stacks.length && stacks[index] <= mapping.end();
  }

  private boolean scan(
      ProcMem memory, FileChannel pages, long start, int length, Addresses boundaries)
      throws IOException {
    entries.clear().limit(length / PAGE * Long.BYTES);
    int read = Uninterruptibly.call(() -> pages.read(entries, start / PAGE * Long.BYTES));
    int known = Math.max(0, read) / Long.BYTES;
    int page = 0;
    while (page < known) {
      int from = page;
      while (page < known && isKept(entries.getLong(page * Long.BYTES))) {
        page++;
      }
      if (page > from
          && search(memory, start + (long) from * PAGE, (page - from) * PAGE, boundaries)) {
        return true;
      }
      page++;
    }
    return false;
  }

  private static boolean isKept(long entry) {
    return (entry & (PRESENT | SWAPPED)) != 0 && (entry & OF_A_FILE) == 0;
  }

  /**
   * Whether the word is the rip of a signal frame on the stack that the thread had set up for
   * handlers (sigaltstack(2)): the frame says so itself. No thread is on that stack, or it had been
   * seen to come back inside; and the next handler begins at its top again, whatever stands there.
   */
  private static boolean isLeftOnHandlersStack(ProcMem memory, long rip) {
    CodeBytes frame = memory.read(rip - RIP_IN_CONTEXT, RIP_IN_CONTEXT + SEGMENTS_BEHIND_RIP + 8);
    if (frame == null) {
      return false;
    }
    ByteBuffer context = ByteBuffer.wrap(frame.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
    long stack = context.getLong(STACK_IN_CONTEXT);
    long size = context.getLong(STACK_SIZE_IN_CONTEXT);
    return context.getLong(RIP_IN_CONTEXT + SEGMENTS_BEHIND_RIP) == StackScan.SEGMENTS
        && Long.compareUnsigned(rip - stack, size) < 0;
  }

  private boolean search(ProcMem memory, long start, int length, Addresses boundaries) {
    long count = memory.read(start, chunk.address(0), length);
    for (int offset = 0; offset + Long.BYTES <= count; offset += Long.BYTES) {
      long word = chunk.getLong(offset);
      if (boundaries.get(word) != 0 && !isLeftOnHandlersStack(memory, start + offset)) {
        found = word;
        foundAt = start + offset;
        return true;
      }
    }
    return false;
  }
}
