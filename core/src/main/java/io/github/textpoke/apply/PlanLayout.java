package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.SharedMemory;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Step;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
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
    long steps = plan.steps.size();
    return SessionLayout.PLAN_SIZE
        // Each write may be a run of its own, and each step may have a pause.
        + steps * SessionLayout.OP_SIZE * (pauses ? 2 : 1)
        + steps * SessionLayout.OP_SIZE
        + undo(plan.plan).size() * (long) SessionLayout.OP_SIZE
        + plan.plan.pokes().size() * (long) (SessionLayout.SITE_SIZE + Long.BYTES)
        + plan.pages.length * (long) Long.BYTES;
  }

  /** Whether every site and step is short enough for the poker. */
  static boolean fits(CompiledPlan plan) {
    return plan.plan.pokes().stream().allMatch(poke -> poke.length() < SessionLayout.SITE_MOST)
        && plan.steps.stream()
            .allMatch(
                step ->
                    !(step instanceof Step.Write write)
                        || write.bytes().length() < SessionLayout.SITE_MOST);
  }

  private static ImmutableList<Step> undo(PatchPlan plan) {
    return PokeProtocol.rollback(plan, plan.steps().size());
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
   * @return the offset of its header
   */
  int put(CompiledPlan plan, boolean pauses) {
    int header = take(SessionLayout.PLAN_SIZE);
    for (int offset = 0; offset < SessionLayout.PLAN_SIZE; offset += Long.BYTES) {
      memory.setLong(header + offset, 0);
    }
    int ops = next;
    putSteps(plan.steps, pauses);
    list(header + SessionLayout.PLAN_OPS, ops, SessionLayout.OP_SIZE);
    int back = next;
    undo(plan.plan).forEach(step -> putStep(step, 0));
    list(header + SessionLayout.PLAN_UNDO, back, SessionLayout.OP_SIZE);
    int sites = next;
    plan.plan.pokes().forEach(poke -> putSite(poke, plan.takesTrapAt(poke.address())));
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

  private void putSite(Poke poke, boolean ours) {
    int at = take(SessionLayout.SITE_SIZE);
    memory.setLong(at + SessionLayout.SITE_ADDRESS, poke.address());
    memory.setInt(at + SessionLayout.SITE_LENGTH, poke.length());
    memory.setInt(at + SessionLayout.SITE_IS_OURS, ours ? 1 : 0);
    put(at + SessionLayout.SITE_OLD, poke.site().bytes());
    put(at + SessionLayout.SITE_NEW, poke.replacement());
  }

  private void put(int at, CodeBytes bytes) {
    memory.setLong(at, 0);
    memory.setLong(at + Long.BYTES, 0);
    memory.put(at, bytes);
  }

  private void putSteps(List<Step> steps, boolean pauses) {
    for (int i = 0; i < steps.size(); ) {
      int end = pauses ? i + 1 : endOfRun(steps, i);
      if (pauses) {
        putOp(SessionLayout.OP_PAUSE, i, 0, 0);
      }
      if (end - i > 1) {
        putRun(steps, i, end);
      } else {
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
