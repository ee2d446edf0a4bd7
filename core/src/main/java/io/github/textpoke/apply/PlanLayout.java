package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.SharedMemory;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.Step;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Lays a plan out in a session's memory, as the poker reads it. Writes to neighbouring sites become
 * runs: one write that holds the bytes between them as well. That is safe where nobody else changes
 * those bytes meanwhile, so only in a mapping that the program itself can't write to.
 */
final class PlanLayout {
  /** Most bytes between two sites of a run: more would cost as much as a write of its own. */
  private static final int GAP = 256;

  /** Runs begin at such a multiple: the kernel copies other ones at a third of the speed. */
  private static final int RUN_ALIGNMENT = 64;

  private final SharedMemory memory;
  private final long base;
  private final Supplier<MemoryMap> map;
  private int next;
  private int runs;
  private int writes;
  private boolean writable;

  /**
   * @param base where the target sees the memory
   * @param next offset of the first free byte
   * @param map the target's mappings; asked for where writes may become runs
   */
  PlanLayout(SharedMemory memory, long base, int next, Supplier<MemoryMap> map) {
    this.memory = memory;
    this.base = base;
    this.next = next;
    this.map = map;
  }

  /** Bytes that a plan takes at most. */
  static long size(CompiledPlan plan, boolean pauses) {
    WaysBack back = plan.waysBack();
    long steps = plan.steps.size();
    return SessionLayout.PLAN_SIZE
        // Each write may be a run of its own, and each step may have a pause.
        + steps * SessionLayout.OP_SIZE * (pauses ? 2 : 1)
        + steps * SessionLayout.OP_SIZE
        + SessionLayout.PHASES * SessionLayout.OP_SIZE
        + back.fromPhase().stream().mapToLong(PlanLayout::size).sum()
        + size(back.leavingNew())
        + plan.plan.pokes().size() * (long) (SessionLayout.SITE_SIZE + Long.BYTES)
        + plan.plan.pokes().stream().mapToLong(poke -> copiesSize(plan, poke)).sum()
        + plan.pages.length * (long) Long.BYTES;
  }

  private static long size(List<Step> steps) {
    return steps.size() * (long) SessionLayout.OP_SIZE;
  }

  private static long copiesSize(CompiledPlan plan, Poke poke) {
    return poke.interior().isEmpty() && !poke.stays(plan.plan.trapByte())
        ? 0
        : poke.length() * (long) Long.BYTES;
  }

  /** Whether a site is short enough for the poker: one that displaces may not be. */
  static boolean fits(Poke poke) {
    return poke.length() < SessionLayout.SITE_MOST;
  }

  /** Whether every site and step is short enough for the poker. */
  static boolean fits(CompiledPlan plan) {
    return plan.longest < SessionLayout.SITE_MOST;
  }

  /** Offset of the first free byte behind what was laid out. */
  int next() {
    return next;
  }

  /** How the bytes are written, in words; empty where each write is of one site. */
  String remark() {
    String shape = runs == 0 ? "" : writes + " writes in " + runs + " runs";
    return writable
        ? shape
            + (shape.isEmpty() ? "" : "; ")
            + "the program can write to the code, so bytes between sites are left alone"
        : shape;
  }

  /**
   * Lays a plan out.
   *
   * @param pauses whether to wait for the JVM before each step
   * @param patience how long a thread that can't be moved out of a site is waited for
   * @return the offset of its header
   */
  int put(CompiledPlan plan, boolean pauses, Duration patience) {
    int header = take(SessionLayout.PLAN_SIZE);
    for (int offset = 0; offset < SessionLayout.PLAN_SIZE; offset += Long.BYTES) {
      memory.setLong(header + offset, 0);
    }
    memory.setLong(header + SessionLayout.PLAN_DISPLACES, plan.displaces() ? 1 : 0);
    memory.setLong(header + SessionLayout.PLAN_PATIENCE, patience.toNanos());
    memory.setLong(
        header + SessionLayout.PLAN_BREAKPOINTS,
        (plan.stays() ? SessionLayout.STAYS : 0) | (plan.endsStay() ? SessionLayout.ENDS_STAY : 0));
    int ops = next;
    putSteps(plan, pauses);
    list(header + SessionLayout.PLAN_OPS, ops, SessionLayout.OP_SIZE);
    putWaysBack(header + SessionLayout.PLAN_UNDO, plan.waysBack());
    int[] copies = plan.plan.pokes().stream().mapToInt(poke -> putCopies(plan, poke)).toArray();
    int sites = next;
    for (int i = 0; i < copies.length; i++) {
      Poke poke = plan.plan.pokes().get(i);
      putSite(poke, plan.takesTrapAt(poke.address()), copies[i]);
    }
    list(header + SessionLayout.PLAN_SITES, sites, SessionLayout.SITE_SIZE);
    int pages = next;
    for (long page : plan.pages) {
      memory.setLong(take(Long.BYTES), page);
    }
    list(header + SessionLayout.PLAN_PAGES, pages, Long.BYTES);
    return header;
  }

  private int take(int size) {
    int at = next;
    next += size;
    return at;
  }

  private void list(int at, int start, int size) {
    memory.setLong(at, base + start);
    memory.setLong(at + Long.BYTES, (next - start) / size);
  }

  private void putWaysBack(int at, WaysBack back) {
    int known = back.fromPhase().size();
    for (int phase = 0; phase < SessionLayout.PHASES; phase++) {
      int list = at + phase * SessionLayout.LIST_SIZE;
      if (phase < known) {
        putBack(list, back.fromPhase().get(phase));
      } else {
        int same = list - SessionLayout.LIST_SIZE;
        memory.setLong(list, memory.getLong(same));
        memory.setLong(list + Long.BYTES, memory.getLong(same + Long.BYTES));
      }
    }
    putBack(at + SessionLayout.PHASES * SessionLayout.LIST_SIZE, back.leavingNew());
  }

  private void putBack(int at, List<Step> steps) {
    int start = next;
    for (int i = 0; i < steps.size(); i++) {
      if (!isCovered(steps, i)) {
        putStep(steps.get(i), 0);
      }
    }
    list(at, start, SessionLayout.OP_SIZE);
  }

  /** One evacuation is for all sites: each thread is looked at once. */
  private static boolean isCovered(List<Step> steps, int i) {
    return i > 0
        && steps.get(i) instanceof Step.Evacuate
        && steps.get(i - 1) instanceof Step.Evacuate;
  }

  /** Returns the offset of a site's copies, 0 where it has none. */
  private int putCopies(CompiledPlan plan, Poke poke) {
    int size = (int) copiesSize(plan, poke);
    if (size == 0) {
      return 0;
    }
    int at = take(size);
    for (int i = 0; i < poke.length(); i++) {
      memory.setLong(at + i * Long.BYTES, plan.redirects.get(poke.address() + i));
    }
    return at;
  }

  private void putSite(Poke poke, boolean ours, int copies) {
    int at = take(SessionLayout.SITE_SIZE);
    memory.setLong(at + SessionLayout.SITE_ADDRESS, poke.address());
    memory.setInt(at + SessionLayout.SITE_LENGTH, poke.length());
    memory.setShort(at + SessionLayout.SITE_IS_OURS, ours ? 1 : 0);
    memory.setShort(
        at + SessionLayout.SITE_SEVERAL,
        poke.displaces() ? SessionLayout.SITE_OLD : poke.restores() ? SessionLayout.SITE_NEW : 0);
    memory.setLong(at + SessionLayout.SITE_COPIES, copies == 0 ? 0 : base + copies);
    put(at + SessionLayout.SITE_OLD, poke.site().bytes());
    put(at + SessionLayout.SITE_NEW, poke.replacement());
  }

  private void put(int at, CodeBytes bytes) {
    memory.setLong(at, 0);
    memory.setLong(at + Long.BYTES, 0);
    memory.put(at, bytes);
  }

  private void putSteps(CompiledPlan plan, boolean pauses) {
    List<Step> steps = plan.steps;
    int emptied = plan.displaces() ? WaysBack.emptied(steps) : -1;
    int entered =
        plan.displaces() ? WaysBack.entered(plan.plan.pokes(), plan.plan.trapByte(), steps) : -1;
    for (int i = 0; i < steps.size(); ) {
      int end = pauses ? i + 1 : endOfRun(steps, i);
      if (entered > i && entered < end) {
        end = entered;
      }
      if (pauses) {
        putOp(SessionLayout.OP_PAUSE, i, 0, 0);
      }
      if (i == emptied) {
        putOp(SessionLayout.OP_PHASE, i, 1, 0);
      }
      if (i == entered) {
        putOp(SessionLayout.OP_PHASE, i, 2, 0);
      }
      if (end - i > 1) {
        putRun(steps, i, end);
      } else if (!isCovered(steps, i)) {
        putStep(steps.get(i), i);
      }
      i = end;
    }
  }

  private void putRun(List<Step> steps, int from, int end) {
    long start = startOfRun((Step.Write) steps.get(from));
    int at = putOp(SessionLayout.OP_RUN, from, 0, start);
    memory.setLong(at + SessionLayout.OP_EXPECTED, end((Step.Write) steps.get(end - 1)) - start);
    memory.setLong(at + SessionLayout.OP_BYTES, end - from);
    for (int i = from; i < end; i++) {
      putStep(steps.get(i), i);
    }
    runs++;
    writes += end - from;
  }

  /** Bytes before the first site may belong to the run; never those of another mapping. */
  private static long startOfRun(Step.Write first) {
    return first.address() & -RUN_ALIGNMENT;
  }

  private static long end(Step.Write write) {
    return write.address() + write.bytes().length();
  }

  /** The index behind the last step that can be written with that at {@code from}. */
  private int endOfRun(List<Step> steps, int from) {
    if (!(steps.get(from) instanceof Step.Write first)) {
      return from + 1;
    }
    int end = from + 1;
    long start = startOfRun(first);
    long last = end(first);
    Optional<Mapping> mapping = Optional.empty();
    while (end < steps.size() && steps.get(end) instanceof Step.Write write) {
      if (Long.compareUnsigned(write.address() - last, GAP) > 0
          || end(write) - start > SessionLayout.IMAGE_SIZE) {
        return end;
      }
      mapping = mapping.isPresent() ? mapping : map.get().at(start);
      if (mapping.isEmpty() || !mapping.get().contains(end(write) - 1)) {
        return end;
      }
      if (mapping.get().writable()) {
        writable = true;
        return end;
      }
      last = end(write);
      end++;
    }
    return end;
  }

  private void putStep(Step step, int number) {
    if (step instanceof Step.Write write) {
      int at = putOp(SessionLayout.OP_WRITE, number, write.bytes().length(), write.address());
      put(at + SessionLayout.OP_EXPECTED, write.expected());
      put(at + SessionLayout.OP_BYTES, write.bytes());
    } else if (step instanceof Step.SyncCores) {
      putOp(SessionLayout.OP_SYNC, number, 0, 0);
    } else if (step instanceof Step.Evacuate) {
      putOp(SessionLayout.OP_EVACUATE, number, 0, 0);
    } else {
      throw new IllegalStateException("a step that is not known here: " + step);
    }
  }

  private int putOp(int kind, int number, int length, long address) {
    int at = take(SessionLayout.OP_SIZE);
    memory.setByte(at + SessionLayout.OP_KIND, kind);
    memory.setByte(at + SessionLayout.OP_LENGTH, length);
    memory.setInt(at + SessionLayout.OP_STEP, number);
    memory.setLong(at + SessionLayout.OP_ADDRESS, address);
    return at;
  }

  /** The masks of 0 to 16 bytes that the poker compares with. */
  static void putMasks(NativeBytes memory) {
    for (int length = 0; length <= SessionLayout.SITE_MOST; length++) {
      byte[] mask = new byte[SessionLayout.SITE_MOST];
      Arrays.fill(mask, 0, length, (byte) 0xff);
      memory.put(
          SessionLayout.MASKS + length * SessionLayout.SITE_MOST,
          CodeBytes.copyOf(mask, 0, mask.length));
    }
  }
}
