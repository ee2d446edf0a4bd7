package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoSuchProcessException;
import io.github.textpoke.PatchException.NoThreadToBorrowException;
import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.apply.internal.BorrowLayout;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.apply.internal.SessionLayout;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.NativeCode;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.Preflight;
import io.github.textpoke.process.ProcStatus;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Borrows a thread by a process of its own: it shares this JVM's memory and nothing else, so it
 * goes on when the JVM is killed or pauses, and no thread of the target is left where it was put.
 */
final class SafeBorrower {
  private static final long LOOK_AGAIN_NANOS = 200_000;
  private static final int SYSTEM_CALLS = 512;
  private static final long PAGE = 4096;

  private static @Nullable SafeBorrower instance;

  private final NativeCode borrower;
  private final NativeBytes code;

  private SafeBorrower(NativeCode borrower, CodeBytes code) {
    this.borrower = borrower;
    this.code = new NativeBytes((int) (code.length() + PAGE - 1 & -PAGE));
    this.code.put(0, code);
  }

  /** What is in the target now. */
  record Borrowed(int helper, long address, Path session) {}

  /** The borrower; null where this machine lets no JVM make code. */
  static synchronized @Nullable SafeBorrower of(PokerProgram program) {
    if (instance == null) {
      NativeCode mapped = NativeCode.map(program.borrower());
      if (mapped != null) {
        instance = new SafeBorrower(mapped, program.code());
      }
    }
    return instance;
  }

  /**
   * Not under a seccomp filter, which has to be read first, and not where SIGTRAP is ignored: there
   * a single step would reset it.
   */
  static boolean canBorrowFrom(ProcStatus status) {
    return status.seccomp() == 0 && (status.ignored() & ProcStatus.SIGTRAP_BIT) == 0;
  }

  /** Writes the calls that may be issued again. */
  static void putRepeatable(NativeBytes to, int offset) {
    int at = offset;
    for (int number = 0; number < SYSTEM_CALLS; number++) {
      if (BlockedCall.mayBeIssuedAgain(number)) {
        putShort(to, at, number);
        at += Short.BYTES;
      }
    }
    putShort(to, at, SessionLayout.NO_CALL);
  }

  private static void putShort(NativeBytes to, int at, int value) {
    to.put(at, (byte) value);
    to.put(at + 1, (byte) (value >> Byte.SIZE));
  }

  /**
   * Does it.
   *
   * @param patience how long to wait for a thread that may be borrowed
   * @param gadget a {@code syscall} instruction of the target's
   * @param knownCode where our code is mapped, 0: nowhere yet
   * @param ledgerSize bytes of the ledger's new segment, 0: none is wanted
   * @param size of the session's memory in bytes
   * @param beginning of the session's memory
   */
  Borrowed borrow(
      int pid,
      Duration patience,
      long gadget,
      long knownCode,
      int ledgerSize,
      int size,
      NativeBytes beginning) {
    NativeBytes memory = new NativeBytes(BorrowLayout.SIZE);
    memory.putLong(BorrowLayout.PID, pid);
    memory.putLong(BorrowLayout.GADGET, gadget);
    memory.putLong(BorrowLayout.CLONE_FLAGS, Clone.SHARES_ALL);
    memory.putLong(BorrowLayout.CODE, knownCode);
    memory.putLong(BorrowLayout.CODE_BYTES, code.address(0));
    memory.putLong(BorrowLayout.CODE_BYTES + Long.BYTES, code.size());
    memory.putLong(BorrowLayout.LEDGER_SIZE, ledgerSize + PAGE - 1 & -PAGE);
    memory.putLong(BorrowLayout.SESSION_SIZE, size);
    memory.putLong(BorrowLayout.SESSION_BYTES, beginning.address(0));
    memory.putLong(BorrowLayout.SESSION_BYTES + Long.BYTES, beginning.size());
    putName(memory, 0, PokerStart.CODE);
    putName(memory, 1, TargetLedger.NAME);
    putName(memory, 2, PokerStart.SESSION);
    putRepeatable(memory, BorrowLayout.REPEATABLE);
    borrowSome(pid, patience, memory);
    // The JVM may not have freed what another process of ours still reads.
    java.lang.ref.Reference.reachabilityFence(beginning);
    int helper = (int) memory.getLong(BorrowLayout.HELPER);
    return new Borrowed(
        helper,
        memory.getLong(BorrowLayout.SESSION),
        Path.of(
            "/proc/" + pid + "/task/" + helper + "/fd/" + memory.getLong(BorrowLayout.SESSION_FD)));
  }

  private static void putName(NativeBytes memory, int index, String name) {
    byte[] text = (name + "\0").getBytes(StandardCharsets.US_ASCII);
    memory.put(
        BorrowLayout.NAMES + index * BorrowLayout.NAME_SIZE,
        CodeBytes.copyOf(text, 0, text.length));
  }

  private void borrowSome(int pid, Duration patience, NativeBytes memory) {
    Candidates candidates = new Candidates();
    long deadline = System.nanoTime() + patience.toNanos();
    for (; ; ) {
      int[] threads = ProcStatus.threads(pid);
      int tid = candidates.choose(threads);
      if (tid != 0) {
        memory.putLong(BorrowLayout.THREAD, tid);
        long result = run(memory);
        if (result == 0) {
          return;
        }
        if (result == BorrowLayout.STALE) {
          throw new TargetExecedException(pid);
        }
        if (result != BorrowLayout.UNFIT) {
          throw failed(memory, (int) -result);
        }
        ProcStatus status = ProcStatus.read(tid);
        if (status != null && status.tracer() != 0) {
          throw Preflight.alreadyTraced(pid, status.tracer());
        }
        candidates.markUnfit(tid);
      } else if (threads.length == 0) {
        throw new NoSuchProcessException(pid);
      } else if (System.nanoTime() - deadline > 0) {
        throw new NoThreadToBorrowException(pid, Candidates.reasons(threads));
      } else {
        candidates.forgetUnfit();
        // No event tells that a thread leaves its call: look again.
        LockSupport.parkNanos(LOOK_AGAIN_NANOS);
      }
    }
  }

  private long run(NativeBytes memory) {
    memory.putLong(BorrowLayout.RESULT, -Errno.EINTR);
    long process = borrower.call(memory.address(0));
    if (process < 0) {
      throw new PokerUnavailableException(
          "this JVM can't start a process of its own: errno " + -process);
    }
    int status = Kernel.awaitProcess((int) process, new NativeBytes(Long.BYTES));
    if (status != 0) {
      throw new PokerUnavailableException(
          "the process that borrows a thread has ended with status " + status);
    }
    return memory.getLong(BorrowLayout.RESULT);
  }

  private static PokerUnavailableException failed(NativeBytes memory, int errno) {
    return new PokerUnavailableException(
        "step "
            + memory.getLong(BorrowLayout.STEP)
            + " of bringing the helper into the target failed with errno "
            + errno);
  }
}
