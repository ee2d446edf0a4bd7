package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.apply.CallOutcome.Crashed;
import io.github.textpoke.apply.CallOutcome.Ended;
import io.github.textpoke.apply.CallOutcome.Returned;
import io.github.textpoke.apply.CallOutcome.TimedOut;
import io.github.textpoke.apply.internal.CallLayout;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Runs a thread of ours in the target until its function has returned, and handles meanwhile what
 * the others report. A signal of its own is taken from it before the program can see it, and ends
 * it.
 */
final class CalledThread {
  private static final long POLL_NANOS = 50_000;

  /** Those that an instruction raises, and that of abort(3): it is not to die of them. */
  private static final long OWN_SIGNALS =
      bit(4) | bit(Ptrace.SIGTRAP) | bit(6) | bit(7) | bit(8) | bit(11) | bit(31);

  /**
   * The two that glibc keeps for itself (nptl/pthreadP.h, SIGCANCEL and SIGSETXID). They are sent
   * to threads that it has made; those that the function starts inherit the mask.
   */
  private static final long GLIBCS_SIGNALS = bit(32) | bit(33);

  private final Tracer tracer;
  private final Ptrace ptrace;
  private final Helper helper;
  private final Runnable settle;
  private final Registers registers = new Registers();

  private int tid;
  private long memory;

  /** Whether it was asked to stop, since its time is over. */
  private boolean asked;

  /**
   * @param settle puts right, again and again, what events have changed
   */
  CalledThread(Tracer tracer, Helper helper, Runnable settle) {
    this.tracer = tracer;
    this.ptrace = tracer.ptrace;
    this.helper = helper;
    this.settle = settle;
  }

  private static long bit(int signal) {
    return 1L << signal - 1;
  }

  /**
   * Runs the thread.
   *
   * @param tid stopped before its first instruction
   * @param entry absolute address of the code that calls
   * @param stack its stack pointer
   * @param memory absolute address of what {@link CallLayout} describes
   * @param patience how long to wait for a stop when the time is over
   */
  CallOutcome run(
      int tid, long entry, long stack, long memory, Duration timeout, Duration patience) {
    this.tid = tid;
    this.memory = memory;
    ptrace.getRegisters(tid, registers);
    registers.setEntry(entry, stack, memory);
    ptrace.setRegisters(tid, registers);
    ptrace.setSignalMask(tid, ~(OWN_SIGNALS | GLIBCS_SIGNALS));
    long deadline = System.nanoTime() + timeout.toNanos();
    ptrace.resume(tid, 0);
    for (; ; ) {
      long late = System.nanoTime() - deadline;
      if (late > 0 && !asked) {
        asked = true;
        ptrace.interrupt(tid);
      } else if (late > patience.toNanos()) {
        return new TimedOut(false);
      }
      int who = ptrace.await(false);
      if (who < 0) {
        tracer.markGone();
      } else if (who == 0) {
        settle.run();
        LockSupport.parkNanos(POLL_NANOS);
      } else if (who != tid) {
        tracer.handle(who, ptrace.status());
      } else {
        CallOutcome outcome =
            Ptrace.isStop(ptrace.status()) ? stopped(ptrace.status()) : orElse(new Ended());
        if (outcome != null) {
          return outcome;
        }
      }
      tracer.checkAlive();
    }
  }

  /** What a stop of the thread comes to; null: it goes on. */
  private @Nullable CallOutcome stopped(int status) {
    int event = Ptrace.event(status);
    if (event == Ptrace.EVENT_STOP && asked) {
      return end(new TimedOut(true));
    }
    CallOutcome outcome = null;
    if (event == 0) {
      outcome = signal(Ptrace.stopSignal(status));
    } else if (event != Ptrace.EVENT_STOP) {
      // It forks, starts a thread, or runs another program.
      tracer.handle(tid, status);
    } else if (Ptrace.isGroupStop(status)) {
      ptrace.listen(tid);
    } else {
      tracer.repairInterruptedCall(tid, registers);
      ptrace.resume(tid, 0);
    }
    if (outcome == null && asked) {
      // Any stop takes the request back.
      ptrace.interrupt(tid);
    }
    return outcome;
  }

  private @Nullable CallOutcome signal(int signal) {
    int code = ptrace.signalCode(tid);
    if (code == Ptrace.NO_SIGNAL || ptrace.getRegisters(tid, registers) < 0) {
      // It was killed: its end comes next.
      return null;
    }
    boolean isOurs = (OWN_SIGNALS & bit(signal)) != 0;
    if (isOurs && code <= 0 && code != Ptrace.SI_TKILL) {
      // Sent to the process: for a thread of the program's.
      Kernel.sendSignal(tracer.pid(), tracer.pid(), signal);
      ptrace.resume(tid, 0);
      return null;
    }
    if (!isOurs) {
      ptrace.resume(tid, signal);
      return null;
    }
    if (signal == Ptrace.SIGTRAP) {
      tracer.sigtrap().mayBeReset();
    }
    return end(new Crashed(signal, registers.rip()));
  }

  /** Sends it to exit, and waits for its end. It may have returned just now. */
  private CallOutcome end(CallOutcome otherwise) {
    ptrace.getRegisters(tid, registers);
    registers.setSystemCall(helper.instruction(), Kernel.SYS_EXIT, 0, 0, 0, 0, 0, 0);
    ptrace.setRegisters(tid, registers);
    int signal = 0;
    while (ptrace.resume(tid, signal) == 0) {
      int status = tracer.awaitStopOrEnd(tid);
      if (!Ptrace.isStop(status)) {
        break;
      }
      signal = Helper.sentSignal(status);
    }
    return orElse(otherwise);
  }

  /** Behind the thread's end: what its memory says, or something else where it has not returned. */
  private CallOutcome orElse(CallOutcome otherwise) {
    // Where the whole process ends this throws: the helper has ended, too.
    helper.call(Kernel.SYS_GETPID, 0, 0, 0, 0, 0, 0);
    return word(CallLayout.RETURNED) == 1 ? new Returned(word(CallLayout.RESULT)) : otherwise;
  }

  private long word(int offset) {
    CodeBytes bytes =
        Objects.requireNonNull(
            tracer.memory().read(memory + offset, Long.BYTES), "memory of the call is not mapped");
    return ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN).getLong();
  }
}
