package io.github.textpoke.apply;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.LaunchFailedException;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.internal.HoldLayout;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.NearHole;
import io.github.textpoke.process.ProgramStart;
import java.time.Duration;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A thread that is about to execute another program. It is traced from before its call to the
 * program's entry, where it waits by itself from then on; should this JVM end before that call, it
 * runs on, and should it end while the thread stands at the entry, the program ends. All calls come
 * from one OS thread, which traces nothing else and has no children.
 */
final class ExecutingThread extends LedThread {
  private static final int PAGE = 4096;
  private static final int PROT_READ = 1;
  private static final int PROT_WRITE = 2;
  private static final int PROT_EXEC = 4;
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MAP_FIXED_NOREPLACE = 0x100000;

  /** What is called at its entry, and where it waits. */
  private static final ImmutableMap<Integer, long[]> CALLS =
      ImmutableMap.of(
          Kernel.SYS_MMAP,
          new long[] {0, HoldLayout.SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1, 0},
          Kernel.SYS_MPROTECT,
          new long[] {0, HoldLayout.CODE_SIZE, PROT_READ | PROT_EXEC, 0, 0, 0},
          Kernel.SYS_NANOSLEEP,
          new long[6]);

  /**
   * @param patience how long another tracer is waited for
   */
  ExecutingThread(int tid, Duration patience) {
    super(tid, patience);
  }

  /**
   * Traces it where it waits, of its own will.
   *
   * @param waits whether it does so still; it is stopped then
   * @throws UnsupportedTargetException if it can't be traced, has ended, or does not wait
   */
  void take(BooleanSupplier waits) {
    int error = seize(ptrace::seizeBeforeNext);
    if (error == 0 && !ended) {
      interrupt();
    }
    if (error != 0 || ended) {
      throw new UnsupportedTargetException(
          "thread " + pid + " can't be traced: errno " + (ended ? Errno.ESRCH : -error),
          "see kernel.yama.ptrace_scope; no other tool may trace it");
    }
    if (!waits.getAsBoolean()) {
      detach();
      throw new UnsupportedTargetException(
          "thread " + pid + " has waited in vain, and goes on", "");
    }
    ptrace.runToSystemCall(pid, 0);
  }

  /** An execve by another thread than the first takes that one's id. */
  @Override
  int await() {
    for (; ; ) {
      int who = ptrace.await(true);
      if (who < 0 || who == pid) {
        return who;
      }
      if (Ptrace.event(ptrace.status()) == Ptrace.EVENT_EXEC
          && ptrace.getEventMessage(who) == 0
          && ptrace.word() == pid) {
        pid = who;
        return who;
      }
    }
  }

  /**
   * Lets it execute its program, and has that wait at its entry, untraced.
   *
   * @return empty where there is no program: its call has failed, or it has ended
   * @throws PatchException if the program can't be held: it runs then, as if we were not there
   */
  Optional<HoldPages> hold(PokerProgram code) {
    if (!runsToExec()) {
      return Optional.empty();
    }
    // Nothing of the program has run, and from here on its thread calls for us.
    ptrace.endWithUs(pid);
    try {
      finishExec(CALLS, "its parent");
      HoldPages pages = ended ? null : map(code);
      if (pages == null) {
        return Optional.empty();
      }
      saved.setRip(pages.entry());
      return Optional.of(pages);
    } finally {
      if (!ended) {
        ptrace.setRegisters(pid, saved);
        detach();
      }
    }
  }

  /** Whether it stands behind an execve that has not failed. */
  private boolean runsToExec() {
    boolean executes = false;
    int status = next();
    while (!ended && Ptrace.event(status) != Ptrace.EVENT_EXEC) {
      if (Ptrace.isSystemCallStop(status)) {
        if (ptrace.isEntry(pid)) {
          ptrace.getRegisters(pid, scratch);
          executes =
              scratch.origRax() == Kernel.SYS_EXECVE || scratch.origRax() == Kernel.SYS_EXECVEAT;
        } else if (executes) {
          // The file is not there, as where PATH is searched.
          detach();
          return false;
        }
      }
      goOn(status, true);
      status = next();
    }
    return !ended;
  }

  /** Null where it has ended. */
  private @Nullable HoldPages map(PokerProgram code) {
    MemoryMap map = MemoryMap.read(pid);
    long loader = ProgramStart.loader(pid);
    long near = loader == 0 ? ProgramStart.entry(pid) : loader;
    long start =
        NearHole.find(map, near, near + PAGE, HoldLayout.SIZE + 2 * PAGE)
                .orElseThrow(() -> new NoRoomException(near, "no hole of some pages is free"))
            + PAGE;
    check(
        "mmap",
        start,
        call(
            Kernel.SYS_MMAP,
            start,
            HoldLayout.SIZE,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
            -1,
            0));
    if (ended) {
      return null;
    }
    HoldPages pages = new HoldPages(pid, start, saved.rip(), code);
    boolean isWhole = false;
    try {
      check(
          "mprotect",
          0,
          call(Kernel.SYS_MPROTECT, start, HoldLayout.CODE_SIZE, PROT_READ | PROT_EXEC, 0, 0, 0));
      isWhole = !ended;
      return ended ? null : pages;
    } finally {
      if (!isWhole) {
        pages.close();
      }
    }
  }

  private void check(String call, long expected, long result) {
    if (!ended && result != expected) {
      throw new LaunchFailedException(
          call + " in the program's process returned " + result, "see its limits");
    }
  }
}
