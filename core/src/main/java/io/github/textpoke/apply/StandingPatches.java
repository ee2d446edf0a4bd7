package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.AlreadyTracedException;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.process.Mapping;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/**
 * Patches with breakpoints that stay: a poker takes their traps for as long as they stand. There is
 * one at a time that does, whichever JVM has begun its session. A session that begins has the one
 * before take all back and leave, and goes on with those that the ledger holds; in between the old
 * bytes stand.
 */
final class StandingPatches {
  /** No event tells that another session has left. */
  private static final long LOOK_NANOS = 50_000;

  private static final int SIGCHLD = 17;

  private final int pid;
  private final TargetLedger ledger;

  StandingPatches(int pid, TargetLedger ledger) {
    this.pid = pid;
    this.ledger = ledger;
  }

  /** Those that the ledger holds. */
  ImmutableList<LedgerEntry> entries() {
    return ledger.contents().entries().stream()
        .filter(entry -> isApplied(entry.progress().state()))
        .filter(entry -> CompiledPlan.stays(entry.plan()))
        .collect(ImmutableList.toImmutableList());
  }

  private static boolean isApplied(Progress.State state) {
    return switch (state) {
      case APPLIED, BYPASSING, BYPASSED -> true;
      case APPLYING, REVERTING, RETIRED, REVERTED -> false;
    };
  }

  /**
   * Has a session of before leave that takes such traps, of whichever JVM.
   *
   * @param map of the target, read just now
   * @return the same, or what it is now
   * @throws AlreadyTracedException if it does not in time
   */
  MemoryMap yieldOthers(MemoryMap map, Duration patience) {
    ImmutableList<Mapping> sessions =
        map.mappings().stream()
            .filter(mapping -> mapping.path().equals("/memfd:" + PokerStart.SESSION))
            .collect(ImmutableList.toImmutableList());
    if (sessions.isEmpty()) {
      return map;
    }
    boolean hasYielded = false;
    try (ProcMem memory = TargetMemory.open(pid)) {
      for (Mapping session : sessions) {
        hasYielded |= haveYield(memory, session.start(), patience);
      }
    }
    return hasYielded ? MemoryMap.read(pid) : map;
  }

  private boolean haveYield(ProcMem memory, long base, Duration patience) {
    long deadline = System.nanoTime() + patience.toNanos();
    for (int look = 0; ; look++) {
      Optional<ByteBuffer> now = standing(memory, base);
      if (now.isEmpty()) {
        return look > 0;
      }
      int helper = thread(now.get().getInt(SessionLayout.HELPER));
      int poker = helper == 0 ? 0 : ProcStatus.onlyChild(pid, helper);
      if (look == 0) {
        memory.write(base + SessionLayout.YIELD, CodeBytes.of(1));
      }
      if (poker != 0) {
        Kernel.sendSignal(poker, poker, SIGCHLD);
      }
      if (System.nanoTime() - deadline > 0) {
        throw new AlreadyTracedException(pid, poker, ProcStatus.name(poker));
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  /** What a session begins with that takes such traps; empty where it is none. */
  private static Optional<ByteBuffer> standing(ProcMem memory, long base) {
    return Optional.ofNullable(memory.read(base, SessionLayout.WHO))
        .map(bytes -> ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN))
        .filter(words -> words.getLong(SessionLayout.WRITTEN_BY) == SessionLayout.VERSION)
        .filter(words -> words.getInt(SessionLayout.STATE) == SessionLayout.RUNNING)
        .filter(words -> words.getLong(SessionLayout.STANDING) != 0);
  }

  /** A thread of the target, as we number it; 0 where it has ended. */
  private int thread(int inNamespace) {
    int depth = ProcStatus.idsInNamespaces(pid).length;
    for (int tid : ProcStatus.threads(pid)) {
      int[] ids = ProcStatus.idsInNamespaces(tid);
      if (ids.length >= depth && ids[depth - 1] == inNamespace) {
        return tid;
      }
    }
    return 0;
  }

  /**
   * Lays those of the ledger out in a session that has not held the threads yet: it wakes them when
   * it does.
   */
  void adopt(PokerSession session) {
    for (LedgerEntry entry : entries()) {
      CompiledPlan plan = new CompiledPlan(entry.plan(), entry.plan().steps());
      if (!PlanLayout.fits(plan)) {
        throw new IllegalStateException("a breakpoint that stays was not put by a poker: " + entry);
      }
      long size = PlanLayout.size(plan, false);
      if (session.next + size > session.memory.size()) {
        throw new PokerUnavailableException(
            "the breakpoints that stay take more than the session's memory");
      }
      PlanLayout layout =
          new PlanLayout(session.memory, session.base, session.next, () -> MemoryMap.read(pid));
      int header = layout.put(plan, false, Duration.ZERO);
      session.next = layout.next();
      session.memory.setLong(header + SessionLayout.PLAN_PROGRESS, entry.progressAddress());
      session.memory.setLong(
          header + SessionLayout.PLAN_UNDONE, PatchRecord.goneState(entry.note()).word());
      session.memory.setLong(header + SessionLayout.PLAN_STANDS, SessionLayout.SLEEPS);
      session.memory.setLong(
          header + SessionLayout.PLAN_STANDING_NEXT,
          session.memory.getLong(SessionLayout.STANDING));
      session.memory.setLong(SessionLayout.STANDING, session.base + header);
    }
  }
}
