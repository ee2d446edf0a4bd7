package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoThreadToBorrowException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.SeccompFilter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Borrows one thread of the target for one system call, the clone of the helper, and gives it back
 * exactly as it was. It is the only thread that is stopped for us. Preferred is one that runs; else
 * one in a call that restarts, so that the program notices nothing.
 */
final class Borrower {
  private static final long CLONE_VM = 0x100;
  private static final long CLONE_FS = 0x200;
  private static final long CLONE_FILES = 0x400;
  private static final long CLONE_SIGHAND = 0x800;
  private static final long CLONE_THREAD = 0x10000;
  private static final long CLONE_SYSVSEM = 0x40000;

  /** Shares everything, the table of files too: a copy would hold sockets open. */
  private static final long CLONE_FLAGS =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

  private static final long LOOK_AGAIN_NANOS = 200_000;
  private static final int RSEQ_CS_OFFSET = 8;
  private static final int RSEQ_CS_SIZE = 32;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final Injection injection;
  private final Registers original = new Registers();
  private final Registers injected = new Registers();

  /** Threads that were stopped and turned out unfit, so that each is stopped once. */
  private final Set<Integer> unfit = new HashSet<>();

  Borrower(Tracer tracer, Injection injection) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.injection = injection;
  }

  /**
   * Clones the helper.
   *
   * @param patience how long to wait for a thread that may be borrowed
   */
  Helper start(Duration patience) {
    long deadline = System.nanoTime() + patience.toNanos();
    for (; ; ) {
      tracer.handlePending();
      tracer.checkAlive();
      int tid = choose();
      if (tid != 0) {
        Helper helper = borrow(tid);
        if (helper != null) {
          return helper;
        }
        unfit.add(tid);
      } else if (System.nanoTime() - deadline > 0) {
        throw new NoThreadToBorrowException(tracer.pid(), reasons());
      } else {
        unfit.clear();
        // No event tells that a thread leaves its call: look again.
        LockSupport.parkNanos(LOOK_AGAIN_NANOS);
      }
    }
  }

  /** The thread that notices least, 0 where there is none. */
  private int choose() {
    int best = 0;
    int bestRank = Integer.MAX_VALUE;
    for (int i = 0; i < tracer.tracees.size() && bestRank > 0; i++) {
      int tid = tracer.tracees.tid(i);
      if (tracer.tracees.has(i, Tracees.SHARER) || unfit.contains(tid)) {
        continue;
      }
      int rank = rank(tid);
      if (rank < bestRank) {
        best = tid;
        bestRank = rank;
      }
    }
    return best;
  }

  private static int rank(int tid) {
    BlockedCall where = BlockedCall.read(tid);
    if (where == null) {
      return Integer.MAX_VALUE;
    }
    if (where.running() || where.number() < 0) {
      ProcStatus status = ProcStatus.read(tid);
      return status == null || status.isDead() ? Integer.MAX_VALUE : 0;
    }
    return switch (where.restart(tid)) {
      case TRANSPARENT -> 1;
      case REPAIRED -> 2;
      case LENGTHENED -> 3;
      case NEVER -> Integer.MAX_VALUE;
    };
  }

  private List<String> reasons() {
    List<String> reasons = new ArrayList<>();
    for (int i = 0; i < tracer.tracees.size(); i++) {
      int tid = tracer.tracees.tid(i);
      BlockedCall where = BlockedCall.read(tid);
      reasons.add("thread " + tid + " is " + (where == null ? "gone" : where.describe()));
    }
    return reasons;
  }

  /** Stops {@code tid} and clones the helper on it; null where it must be left alone after all. */
  private @Nullable Helper borrow(int tid) {
    if (ptrace.interrupt(tid) < 0) {
      tracer.tracees.remove(tid);
      return null;
    }
    int status = tracer.awaitStopOrEnd(tid);
    while (Ptrace.isStop(status) && Ptrace.event(status) != Ptrace.EVENT_STOP) {
      tracer.handle(tid, status);
      tracer.checkAlive();
      // That stop has taken our request back.
      ptrace.interrupt(tid);
      status = tracer.awaitStopOrEnd(tid);
    }
    if (!Ptrace.isStop(status)) {
      return null;
    }
    boolean groupStopped = Ptrace.isGroupStop(status);
    tracer.repairInterruptedCall(tid, original);
    if (ptrace.getRegisters(tid, original) < 0
        || !original.is64Bit()
        || ptrace.isTrapQueued(tid)
        || isInRestartableSequence(tid)) {
      giveBack(tid, groupStopped);
      return null;
    }
    SeccompException forbidden = seccomp(tid);
    if (forbidden != null) {
      giveBack(tid, groupStopped);
      throw forbidden;
    }
    ptrace.getSignalMask(tid);
    long mask = ptrace.word();
    ptrace.setSignalMask(tid, Helper.ALL_BUT_SIGTRAP);
    tracer.deferNewThreads();
    long result;
    do {
      injected.copyFrom(original);
      injected.setSystemCall(injection.instruction(), Kernel.SYS_CLONE, CLONE_FLAGS, 0, 0, 0, 0, 0);
      result = injection.run(tid, injected);
      // A stop that is on its way makes the kernel put a clone off (kernel/fork.c, copy_process).
    } while (result == -Errno.ERESTARTNOINTR);
    int born = injection.born();
    ptrace.setRegisters(tid, original);
    ptrace.setSignalMask(tid, mask);
    // Run from stop to stop, it is past where the kernel would restart the call that it was in.
    giveBack(tid, groupStopped || injection.groupStopped() || tracer.sigtrap().isIgnored());
    tracer.setHelper(born);
    boolean stopped = tracer.releaseDeferred(born);
    if (born == 0) {
      throw cloneFailed(result);
    }
    if (!stopped) {
      tracer.awaitStop(born);
    }
    return new Helper(tracer, born, injection);
  }

  private void giveBack(int tid, boolean byAStop) {
    if (byAStop) {
      // If it has left a group stop, it reports that again, and listens.
      ptrace.interrupt(tid);
    }
    ptrace.resume(tid, 0);
  }

  private RuntimeException cloneFailed(long result) {
    if (result == -Errno.EPERM || result == -Errno.ENOSYS || result == -Errno.EACCES) {
      return new SeccompException(
          "process " + tracer.pid() + " may not clone a thread: errno " + -result,
          "allow clone and membarrier in its seccomp filter");
    }
    return new SystemCallException(
        "clone of a helper thread in process " + tracer.pid(), (int) -result, Outcome.UNTOUCHED);
  }

  /**
   * Whether the thread is in a restartable sequence: moving its instruction pointer would make the
   * kernel forget that it is (kernel/rseq.c).
   */
  private boolean isInRestartableSequence(int tid) {
    if (ptrace.getRseq(tid) < 0 || ptrace.word() == 0) {
      return false;
    }
    CodeBytes pointer = tracer.memory().read(ptrace.word() + RSEQ_CS_OFFSET, 8);
    long sequence = pointer == null ? 0 : littleEndian(pointer, 0);
    if (sequence == 0) {
      return false;
    }
    CodeBytes descriptor = tracer.memory().read(sequence, RSEQ_CS_SIZE);
    if (descriptor == null) {
      return true;
    }
    long start = littleEndian(descriptor, 8);
    long length = littleEndian(descriptor, 16);
    return Long.compareUnsigned(original.rip() - start, length) < 0;
  }

  private static long littleEndian(CodeBytes bytes, int at) {
    long value = 0;
    for (int i = 0; i < 8; i++) {
      value |= (long) bytes.at(at + i) << 8 * i;
    }
    return value;
  }

  /**
   * What the thread's seccomp mode forbids us, found without trying: a filter may kill for a try.
   */
  private @Nullable SeccompException seccomp(int tid) {
    ProcStatus status = ProcStatus.read(tid);
    if (status == null || status.seccomp() == 0) {
      return null;
    }
    String remedy = "allow clone, membarrier and exit in its filter";
    if (status.seccomp() == 1) {
      return new SeccompException("thread " + tid + " is under strict seccomp", remedy);
    }
    for (int i = 0; ; i++) {
      long[] program = ptrace.seccompFilter(tid, i);
      if (program == null) {
        return new SeccompException(
            "thread "
                + tid
                + " is under a seccomp filter that can't be read, and might kill for a try",
            "run with CAP_SYS_ADMIN, outside of any seccomp filter of your own");
      }
      if (program.length == 0) {
        return null;
      }
      String answer = forbidden(new SeccompFilter(program));
      if (answer != null) {
        return new SeccompException(
            "seccomp forbids thread " + tid + " of process " + tracer.pid() + " to call " + answer,
            remedy);
      }
    }
  }

  /**
   * The first of the calls that we need and that a filter does not allow, null where it allows all.
   */
  private @Nullable String forbidden(SeccompFilter filter) {
    long[][] calls = {
      {Kernel.SYS_CLONE, CLONE_FLAGS},
      {Kernel.SYS_MEMBARRIER, Helper.MEMBARRIER_SYNC_CORE},
      {Kernel.SYS_MEMBARRIER, Helper.MEMBARRIER_REGISTER_SYNC_CORE},
      {Kernel.SYS_EXIT, 0},
      {Kernel.SYS_MMAP, 0, 4096, 3, 0x22, -1, 0},
      {Kernel.SYS_MUNMAP, 0, 4096},
      {Kernel.SYS_RT_SIGACTION, Ptrace.SIGTRAP, 0, 0, 8},
    };
    String[] names = {
      "clone", "membarrier", "membarrier", "exit", "mmap", "munmap", "rt_sigaction"
    };
    // Memory and the handler are only needed where the program cares for SIGTRAP.
    int needed = tracer.sigtrap().isOfInterest() ? calls.length : 4;
    for (int i = 0; i < needed; i++) {
      long[] arguments = Arrays.copyOfRange(calls[i], 1, 7);
      if (!filter.allows((int) calls[i][0], arguments)) {
        return names[i] + ": the filter " + filter.answer((int) calls[i][0], arguments);
      }
    }
    return null;
  }
}
