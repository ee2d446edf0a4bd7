package io.github.textpoke.apply;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.process.ProcStatus;
import org.jspecify.annotations.Nullable;

/**
 * The target's SIGTRAP handler, and putting it back: an int3 in a thread that blocks or ignores
 * SIGTRAP makes the kernel reset the handler to the default and unblock the signal for good, even
 * if the tracer keeps the signal (kernel/signal.c, force_sig_info_to_task).
 */
final class SigtrapState {
  /** Size of the kernel's struct sigaction: handler, flags, restorer, mask, eight bytes each. */
  private static final int SIZE = 32;

  private static final long PAGE = 4096;
  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

  /** SIG_IGN, as the eight bytes of the handler. */
  private static final CodeBytes IGNORE = CodeBytes.of(1, 0, 0, 0, 0, 0, 0, 0);

  private static final CodeBytes DEFAULT = CodeBytes.filled(8, 0);

  private final int pid;
  private final ProcMem memory;

  /** Whether SIGTRAP was ignored when we came. */
  private final boolean ignored;

  /** Whether SIGTRAP was ignored or had a handler when we came. */
  private final boolean ofInterest;

  private boolean inDoubt;
  private long scratch;

  /** The handler that the program has set; null where it has none. */
  private @Nullable CodeBytes action;

  SigtrapState(int pid, ProcMem memory) {
    this.pid = pid;
    this.memory = memory;
    ProcStatus status = ProcStatus.read(pid);
    this.ignored = status != null && (status.ignored() & ProcStatus.SIGTRAP_BIT) != 0;
    this.ofInterest =
        status != null && ((status.ignored() | status.caught()) & ProcStatus.SIGTRAP_BIT) != 0;
  }

  boolean isOfInterest() {
    return ofInterest;
  }

  boolean isIgnored() {
    return ignored;
  }

  /** A thread has run a breakpoint of ours, and may have lost the handler. */
  void mayBeReset() {
    inDoubt = action != null;
  }

  /** Whether the handler may have been reset since it was last looked at. */
  boolean isInDoubt() {
    return inDoubt;
  }

  /** Whether the program has set a handler. */
  boolean hasHandler() {
    return action != null;
  }

  /**
   * Whether the kernel has reset the handler that the program has set, as thread {@code tid} sees
   * it.
   */
  boolean wasReset(int tid) {
    ProcStatus status = ProcStatus.read(tid);
    return status != null && ((status.caught() | status.ignored()) & ProcStatus.SIGTRAP_BIT) == 0;
  }

  /** Notes the handler, if the program has set one or ignores SIGTRAP. */
  void note(Helper helper) {
    ProcStatus status = ProcStatus.read(pid);
    if (status == null || (!ignored && (status.caught() & ProcStatus.SIGTRAP_BIT) == 0)) {
      return;
    }
    if (scratch == 0) {
      long page =
          helper.call(Kernel.SYS_MMAP, 0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
      if (page < 0) {
        return;
      }
      scratch = page;
    }
    CodeBytes now = read(helper);
    if (now != null) {
      action = ignored ? now.with(0, IGNORE) : now;
    }
  }

  /** Notes the handler anew, where there was one: the program may have set another since. */
  void refresh(Helper helper) {
    if (action != null && !inDoubt && !ignored) {
      note(helper);
    }
  }

  /**
   * Puts the handler back where the kernel has reset it. Not where SIGTRAP was ignored: to ignore
   * it again discards those that are queued (kernel/signal.c, do_sigaction), and a thread whose
   * trap of ours is lost goes on in the middle of the site.
   */
  void restore(Helper helper) {
    if (!ignored) {
      putBack(helper);
    }
  }

  /** As {@link #restore}, when no thread has a trap of ours to report any more. */
  void restoreAfterDrain(Helper helper) {
    putBack(helper);
  }

  private void putBack(Helper helper) {
    CodeBytes saved = action;
    if (!inDoubt || saved == null) {
      return;
    }
    inDoubt = false;
    CodeBytes now = read(helper);
    // The kernel resets the handler alone; a program that has set another one since keeps it.
    if (now != null && now.slice(0, 8).equals(DEFAULT)) {
      memory.write(scratch, saved);
      helper.call(Kernel.SYS_RT_SIGACTION, Ptrace.SIGTRAP, scratch, 0, 8, 0, 0);
    }
  }

  private @Nullable CodeBytes read(Helper helper) {
    return helper.call(Kernel.SYS_RT_SIGACTION, Ptrace.SIGTRAP, 0, scratch, 8, 0, 0) == 0
        ? memory.read(scratch, SIZE)
        : null;
  }

  /** Gives the page back. */
  void release(Helper helper) {
    if (scratch != 0) {
      helper.call(Kernel.SYS_MUNMAP, scratch, PAGE, 0, 0, 0, 0);
      scratch = 0;
      action = null;
    }
  }
}
