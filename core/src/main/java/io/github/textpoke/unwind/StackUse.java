package io.github.textpoke.unwind;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.MemoryReader;
import io.github.textpoke.unwind.StackTrace.Unknown;
import io.github.textpoke.unwind.Usage.Possible;
import io.github.textpoke.unwind.Usage.Untold;
import io.github.textpoke.unwind.Usage.Unused;
import io.github.textpoke.unwind.Usage.Used;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Tells whether threads are in certain code. By their frames where these are known; behind the last
 * known one by all words from the stack pointer to the end of the stack's mapping. A word that
 * happens to have such a value counts as well, so that {@link Unused} is always right.
 *
 * <p>Where a handler runs on a stack of its own (sigaltstack(2)), its signal frame tells where the
 * interrupted stack goes on, and that is read too. Not found are contexts that no thread runs: see
 * {@link Unwinder}. Immutable; thread-safe if {@code memory} is.
 */
public final class StackUse {
  private static final int CHUNK = 1 << 16;

  /** Bytes of one stack that are looked at. */
  private static final long MOST = 64 << 20;

  /** Stacks that are followed from signal frame to signal frame. */
  private static final int MOST_STACKS = 16;

  /**
   * The segments that a signal frame saves: cs 0x33, gs 0, fs 0, ss 0x2b, of two bytes each. Before
   * them lie rsp, rip and eflags, of eight (arch/x86/include/uapi/asm/sigcontext.h).
   */
  private static final long SEGMENTS = 0x002b_0000_0000_0033L;

  private static final int RSP_BEFORE_SEGMENTS = 3;

  private final MemoryReader memory;
  private final MemoryMap map;
  private final ImmutableList<Extent> code;
  private final long lowest;
  private final long highest;

  /**
   * @param memory of the threads' process
   * @param map of that process, read when they had their stacks already
   * @param code absolute
   */
  public StackUse(MemoryReader memory, MemoryMap map, List<Extent> code) {
    this.memory = memory;
    this.map = map;
    this.code = ImmutableList.copyOf(code);
    this.lowest = code.stream().mapToLong(Extent::start).min().orElse(0);
    this.highest = code.stream().mapToLong(Extent::end).max().orElse(-1);
  }

  /**
   * Whether the thread that has this trace is in the code. It must not have run since.
   *
   * @throws PatchException if the process has ended
   */
  public Usage of(StackTrace trace) {
    for (Frame frame : trace.frames()) {
      if (isIn(frame.codeAddress())) {
        return new Used(frame);
      }
    }
    return trace.end() instanceof Unknown unknown ? scan(unknown) : new Unused(true);
  }

  private boolean isIn(long address) {
    return address >= lowest
        && address < highest
        && code.stream().anyMatch(extent -> extent.contains(address));
  }

  /** Whether a thread that returns or goes on there may be in the code. */
  private boolean mayLeadIn(long word) {
    // Behind the last instruction, a call, its return address is no longer inside.
    return word >= lowest && word <= highest && (isIn(word) || isIn(word - 1));
  }

  private Usage scan(Unknown from) {
    Set<Mapping> seen = new HashSet<>();
    Deque<Long> next = new ArrayDeque<>(List.of(from.stackPointer()));
    if (map.at(from.stackPointer()).isEmpty()) {
      return untold(from, "its stack is not mapped");
    }
    while (!next.isEmpty()) {
      long start = next.remove() & -Long.BYTES;
      Optional<Mapping> mapping = map.at(start);
      // What looks like a signal frame may be long over, or be none; a stack in use is mapped.
      if (mapping.isEmpty() || !mapping.get().readable() || !seen.add(mapping.get())) {
        continue;
      }
      long end = mapping.get().end();
      if (end - start > MOST || seen.size() > MOST_STACKS) {
        return untold(
            from, "%d bytes of %d stacks are too much to read".formatted(end - start, seen.size()));
      }
      Scan scan = new Scan(start, end);
      try {
        if (scan.finds()) {
          return new Possible(scan.at, scan.word, from.reason());
        }
      } catch (UnwritableMappingException unreadable) {
        return untold(from, unreadable.what());
      }
      next.addAll(scan.interrupted);
    }
    return new Unused(false);
  }

  private static Untold untold(Unknown from, String why) {
    return new Untold("at 0x%x: %s; and behind it, %s".formatted(from.pc(), from.reason(), why));
  }

  /** Of one stack. */
  private final class Scan {
    private final long from;
    private final long end;
    private long at;
    private long word;

    /** The stack pointers that signal frames have saved, of other stacks. */
    private final List<Long> interrupted = new ArrayList<>();

    /** The last words, oldest first: they may be in the chunk before. */
    private final long[] before = new long[RSP_BEFORE_SEGMENTS];

    Scan(long from, long end) {
      this.from = from;
      this.end = end;
    }

    /** Whether there is a word that leads into the code. */
    boolean finds() {
      for (long start = from; start < end; start += CHUNK) {
        CodeBytes bytes = memory.read(start, (int) Math.min(CHUNK, end - start));
        ByteBuffer words = ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
        while (words.remaining() >= Long.BYTES) {
          at = start + words.position();
          word = words.getLong();
          if (mayLeadIn(word)) {
            return true;
          }
          if (word == SEGMENTS && (before[0] < from || before[0] >= end)) {
            interrupted.add(before[0]);
          }
          before[0] = before[1];
          before[1] = before[2];
          before[2] = word;
        }
      }
      return false;
    }
  }
}
