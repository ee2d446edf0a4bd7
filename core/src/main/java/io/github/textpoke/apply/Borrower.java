package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoThreadToBorrowException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SeccompException;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.ProcStatus;
import io.github.textpoke.process.SeccompFilter;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntPredicate;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/**
 * Borrows one thread of the target for one system call, the clone of the helper, and gives it back
 * exactly as it was. It is the only thread that is stopped for us. Preferred is one that runs; else
 * one in a call that restarts, so that the program notices nothing.
 */
final class Borrower {
  private static final long LOOK_AGAIN_NANOS = 200_000;
  private static final int RSEQ_CS_OFFSET = 8;
  private static final int RSEQ_CS_SIZE = 32;

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final ImmutableList<NeededCall> needed;

  /** Whether the filters allow to map files of ours. */
  private boolean mayMap = true;

  private final Registers original = new Registers();
  private final Registers injected = new Registers();

  private final Candidates candidates = new Candidates();

  /** Null: there is none, and a thread that is borrowed is lost if this JVM is killed meanwhile. */
  private @Nullable Rescue rescue;

  /** A thread of ours, and how system calls are run in it. */
  private record Born(int tid, Injection injection) {}

  /**
   * @param needed the calls that helper, and poker, will make
   */
  Borrower(Tracer tracer, ImmutableList<NeededCall> needed) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.needed = needed;
  }

  /**
   * Clones the helper through one of the threads that are traced.
   *
   * @param gadget finds a {@code syscall} instruction in the target's memory
   * @param patience how long to wait for a thread that may be borrowed
   */
  Helper start(ToLongFunction<ProcMem> gadget, Duration patience) {
    return helper(start(this::traced, tid -> true, gadget, patience, Clone.OF_HELPER));
  }

  /**
   * Clones a thread through one of the threads that are traced. It is stopped before its first
   * instruction, blocks all signals but SIGTRAP, and nobody else waits for it.
   *
   * @param back what brings the borrowed thread back if this JVM is killed
   * @param patience how long to wait for a thread that may be borrowed
   * @return its id
   */
  int clone(Rescue back, Duration patience, Clone arguments) {
    rescue = back;
    return start(this::traced, tid -> true, memory -> back.gate(), patience, arguments).tid();
  }

  private int[] traced() {
    int[] traced = new int[tracer.tracees.size()];
    int count = 0;
    for (int i = 0; i < traced.length; i++) {
      if (!tracer.tracees.has(i, Tracees.SHARER)) {
        traced[count++] = tracer.tracees.tid(i);
      }
    }
    return Arrays.copyOf(traced, count);
  }

  /**
   * Clones the helper through one of the target's threads, and traces no other.
   *
   * @param gadget finds a {@code syscall} instruction in the target's memory
   * @param patience how long to wait for a thread that may be borrowed
   */
  Helper start(Seizer seizer, ToLongFunction<ProcMem> gadget, Duration patience) {
    return helper(
        start(
            () -> ProcStatus.threads(tracer.pid()),
            seizer::seizeThread,
            gadget,
            patience,
            Clone.OF_HELPER));
  }

  private Helper helper(Born born) {
    return new Helper(tracer, born.tid(), born.injection(), mayMap);
  }

  private Born start(
      Supplier<int[]> threadsNow,
      IntPredicate seize,
      ToLongFunction<ProcMem> gadget,
      Duration patience,
      Clone arguments) {
    long deadline = System.nanoTime() + patience.toNanos();
    for (; ; ) {
      tracer.handlePending();
      tracer.checkAlive();
      int[] threads = threadsNow.get();
      int tid = candidates.choose(threads);
      if (tid != 0) {
        if (tracer.tracees.contains(tid) || seize.test(tid)) {
          // Found when the thread is seized: from then on an execve is reported.
          // A single step leaves a signal that would kill the target if this JVM is killed.
          Injection injection =
              new Injection(tracer, gadget.applyAsLong(tracer.memory()), rescue != null);
          Born born = borrow(tid, injection, arguments);
          if (born != null) {
            return born;
          }
        }
        candidates.markUnfit(tid);
      } else if (System.nanoTime() - deadline > 0) {
        throw new NoThreadToBorrowException(tracer.pid(), Candidates.reasons(threads));
      } else {
        candidates.forgetUnfit();
        // No event tells that a thread leaves its call: look again.
        LockSupport.parkNanos(LOOK_AGAIN_NANOS);
      }
    }
  }

  /** Stops {@code tid} and clones on it; null where it must be left alone after all. */
  private @Nullable Born borrow(int tid, Injection injection, Clone arguments) {
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
        || ptrace.isAnyTrapQueued(tid)
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
    Rescue back = rescue;
    if (back != null) {
      if (!back.write(tracer.memory(), original, mask)) {
        giveBack(tid, groupStopped);
        return null;
      }
      move(tid, arguments, injection);
    }
    ptrace.setSignalMask(tid, Helper.ALL_BUT_SIGTRAP);
    tracer.deferNewThreads();
    long result;
    do {
      move(tid, arguments, injection);
      result = injection.run(tid, injected);
      // A stop that is on its way makes the kernel put a clone off (kernel/fork.c, copy_process).
    } while (result == -Errno.ERESTARTNOINTR);
    int born = injection.born();
    ptrace.setSignalMask(tid, mask);
    ptrace.setRegisters(tid, original);
    injection.sendAgain(tid);
    // Run from stop to stop, it is past where the kernel would restart the call that it was in.
    giveBack(
        tid,
        groupStopped || injection.groupStopped() || tracer.sigtrap().isIgnored() || rescue != null);
    if (arguments.equals(Clone.OF_HELPER)) {
      tracer.setHelper(born);
    }
    boolean stopped = tracer.releaseDeferred(born);
    if (born == 0) {
      throw cloneFailed(result);
    }
    if (!stopped) {
      tracer.awaitStop(born);
    }
    return new Born(born, injection);
  }

  /** From here on it does not go on by itself where it was, but behind the call. */
  private void move(int tid, Clone arguments, Injection injection) {
    injected.copyFrom(original);
    arguments.set(injected, injection.instruction());
    if (rescue != null) {
      injected.setBase(rescue.memory());
    }
    ptrace.setRegisters(tid, injected);
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
        "clone of a thread of ours in process " + tracer.pid(), (int) -result, Outcome.UNTOUCHED);
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
      SeccompFilter filter = new SeccompFilter(program);
      mayMap &= forbidden(filter, NeededCall.MAPPING) == null;
      String answer = forbidden(filter, needed);
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
  private @Nullable String forbidden(SeccompFilter filter, ImmutableList<NeededCall> calls) {
    for (NeededCall call : calls) {
      // Memory and the handler are only needed where the program cares for SIGTRAP.
      if ((!call.forSigtrap() || tracer.sigtrap().isOfInterest())
          && !filter.allows(call.number(), call.arguments())) {
        return call.name() + ": the filter " + filter.answer(call.number(), call.arguments());
      }
    }
    return null;
  }
}
