package io.github.textpoke.apply;

import io.github.textpoke.PatchException.TargetExecedException;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.linux.Errno;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/**
 * Traces every thread of the target without stopping it, and handles what they report: traps, new
 * threads, children, job control, signals. All of it on one OS thread, as ptrace demands
 * (ptrace(2)).
 *
 * <p>Seizing does not stop a thread, and neither does leaving: when this OS thread ends the kernel
 * releases all of them, wherever they are. Threads are only stopped where they report something
 * themselves, and once each, if they run, before we leave.
 */
final class Tracer {
  /** Events that are handled at once, besides two of each thread. */
  private static final int EVENTS_MORE = 16;

  private final int pid;

  private final ProcMem memory;
  private final Registers registers = new Registers();
  private final SigtrapState sigtrap;
  private final ForkedChildren forkedChildren;
  private final Evacuees evacuees;
  private ThreadLooks.Onlooker onlooker;

  final Ptrace ptrace = new Ptrace();
  final Tracees tracees = new Tracees();
  final TrapDesk desk;

  /** The helper's thread id, 0 where there is none; its stops are handed to who waits for them. */
  private int helper;

  /**
   * While a thread is being cloned for us, first stops of new threads wait until we know which is
   * ours.
   */
  private boolean deferring;

  private int[] deferred = new int[0];

  /** Children whose parents have reported them, and that have not reported themselves. */
  private final Set<Integer> expected = new HashSet<>();

  /** Children that reported themselves before their parents did. */
  private final Set<Integer> early = new HashSet<>();

  /** Children that were put right and let go before their parents reported them. */
  private final Set<Integer> settled = new HashSet<>();

  private boolean holdingTraps;
  private boolean stoppingAll;
  private boolean sawGroupStop;
  private boolean repaired;
  private boolean gone;
  private boolean execed;

  /** Traps taken since the start. */
  private long traps;

  Tracer(int pid, ProcMem memory, TrapDesk desk, int trapByte) {
    this.pid = pid;
    this.memory = memory;
    this.desk = desk;
    this.sigtrap = new SigtrapState(pid, memory);
    this.forkedChildren = new ForkedChildren(memory, desk, trapByte);
    this.evacuees = new Evacuees(ptrace, tracees, new StackScan(memory));
    this.onlooker = evacuees;
  }

  int pid() {
    return pid;
  }

  ProcMem memory() {
    return memory;
  }

  SigtrapState sigtrap() {
    return sigtrap;
  }

  /** From now on threads that are looked at are shown to {@code now}. */
  void setOnlooker(ThreadLooks.Onlooker now) {
    onlooker = now;
  }

  Evacuees evacuees() {
    return evacuees;
  }

  long traps() {
    return traps;
  }

  boolean isOver() {
    return gone || execed;
  }

  /** Its last thread has ended. */
  void markGone() {
    gone = true;
  }

  /** The helper's thread id, 0 where there is none. */
  int helper() {
    return helper;
  }

  /** Throws where the target has ended or runs another program. */
  void checkAlive() {
    if (execed) {
      throw new TargetExecedException(pid);
    }
    if (gone) {
      throw new TargetGoneException(pid, "its last thread has ended");
    }
  }

  void setHelper(int tid) {
    helper = tid;
    tracees.remove(tid);
  }

  // ---------------------------------------------------------------- events

  /** Handles what has happened, without waiting. */
  void handlePending() {
    // Who is sent to a copy may trap again at once: that is handled next time.
    for (int most = 2 * tracees.size() + EVENTS_MORE; most > 0; most--) {
      int tid = ptrace.await(false);
      if (tid <= 0) {
        return;
      }
      handle(tid, ptrace.status());
    }
  }

  /**
   * Waits until {@code tid} stops, and handles all other events meanwhile.
   *
   * @return its status, a stop
   */
  int awaitStop(int tid) {
    int status = awaitStopOrEnd(tid);
    if (!Ptrace.isStop(status)) {
      checkAlive();
      throw new TargetGoneException(pid, "its thread " + tid + " has ended");
    }
    return status;
  }

  /** As {@link #awaitStop}, but returns the status of its end too. */
  int awaitStopOrEnd(int tid) {
    for (; ; ) {
      int who = ptrace.await(true);
      if (who < 0) {
        gone = true;
        checkAlive();
      }
      int status = ptrace.status();
      if (who == tid) {
        if (!Ptrace.isStop(status)) {
          ended(tid);
        }
        return status;
      }
      handle(who, status);
      // An exec by another thread has taken the one that we wait for.
      if (execed) {
        checkAlive();
      }
    }
  }

  /**
   * Our thread of the target, or its memory, is gone: an exec or the end of the target is on its
   * way, for nothing else takes them away. Waits for the one or the other, and throws.
   */
  RuntimeException awaitEnd() {
    while (!isOver()) {
      int who = ptrace.await(true);
      if (who < 0) {
        gone = true;
      } else {
        handle(who, ptrace.status());
      }
    }
    checkAlive();
    throw new IllegalStateException("not reached");
  }

  /** Holds back first stops of new threads until {@link #releaseDeferred}. */
  void deferNewThreads() {
    deferring = true;
  }

  /** Handles the first stops that were held back, but for that of {@code mine}. */
  boolean releaseDeferred(int mine) {
    deferring = false;
    boolean found = false;
    int[] waiting = deferred;
    deferred = new int[0];
    for (int tid : waiting) {
      if (tid == mine) {
        found = true;
      } else {
        firstStop(tid, true);
      }
    }
    return found;
  }

  /** Handles one event of any thread but one that somebody waits for. */
  void handle(int tid, int status) {
    if (!Ptrace.isStop(status)) {
      ended(tid);
      return;
    }
    if (tid == helper) {
      // A group stop while it rests: it stays as it is, and tells us again when it is to run.
      return;
    }
    int event = Ptrace.event(status);
    if (event != Ptrace.EVENT_STOP) {
      stoppedForItself(tid);
    }
    switch (event) {
      case 0 -> signal(tid, Ptrace.stopSignal(status));
      case Ptrace.EVENT_STOP -> eventStop(tid, Ptrace.isGroupStop(status));
      case Ptrace.EVENT_EXEC -> exec(tid);
      case Ptrace.EVENT_FORK, Ptrace.EVENT_VFORK, Ptrace.EVENT_CLONE -> {
        ptrace.getEventMessage(tid);
        int child = (int) ptrace.word();
        if (!early.remove(child) && !tracees.contains(child) && !settled.remove(child)) {
          expected.add(child);
        }
        see(tid);
        ptrace.resume(tid, 0);
      }
      default -> throw new IllegalStateException("unexpected stop " + Integer.toHexString(status));
    }
  }

  /**
   * A stop of any sort takes back a request to stop (kernel/signal.c, ptrace_stop: "any trap clears
   * pending STOP trap"), so it counts as the one that was asked for, or that is asked for again.
   */
  private void stoppedForItself(int tid) {
    int index = tracees.indexOf(tid);
    if (index < 0) {
      return;
    }
    tracees.clear(index, Tracees.ASKED);
    if (tracees.has(index, Tracees.DRAINING) && !ptrace.isTrapQueued(tid)) {
      tracees.clear(index, Tracees.DRAINING);
    }
    if (tracees.has(index, Tracees.STOPPING)) {
      ptrace.interrupt(tid);
    }
  }

  /**
   * Looks where a stopped thread stands, if that is asked. With a trap of ours to report it stands
   * at that breakpoint, whatever its instruction pointer is: that one comes first.
   */
  private void see(int tid) {
    int index = tracees.indexOf(tid);
    if (index >= 0 && tracees.has(index, Tracees.EVACUATING) && !ptrace.isTrapQueued(tid)) {
      onlooker.see(index);
    }
  }

  private void ended(int tid) {
    tracees.remove(tid);
    expected.remove(tid);
    early.remove(tid);
    if (tid == helper) {
      helper = 0;
    }
    // The leader's end is reported when it is the last.
    if (tid == pid) {
      gone = true;
    }
  }

  private void exec(int tid) {
    // Else it is a sharer, such as the child of a vfork, that leaves the memory.
    execed |= tid == pid;
    ptrace.detach(tid);
    tracees.remove(tid);
  }

  private void eventStop(int tid, boolean group) {
    int index = tracees.indexOf(tid);
    if (index < 0) {
      if (deferring) {
        deferred = Arrays.copyOf(deferred, deferred.length + 1);
        deferred[deferred.length - 1] = tid;
      } else {
        firstStop(tid, group);
      }
      return;
    }
    // The stop may be ours, or the kernel's answer to SIGCONT: without us there would be none.
    repairInterruptedCall(tid, registers);
    boolean trapQueued = ptrace.isTrapQueued(tid);
    tracees.clear(index, Tracees.ASKED);
    see(tid);
    if (tracees.has(index, Tracees.DRAINING) && !trapQueued) {
      tracees.clear(index, Tracees.DRAINING);
    }
    if (tracees.has(index, Tracees.STOPPING) && !trapQueued) {
      tracees.clear(index, Tracees.STOPPING);
      tracees.set(index, Tracees.STOPPED);
      return;
    }
    sawGroupStop |= group;
    if (group && trapQueued) {
      // It has run a breakpoint and was stopped before it could report that: its trap comes first.
      tracees.set(index, Tracees.REJOINS_GROUP_STOP);
      ptrace.resume(tid, 0);
    } else if (group) {
      // Job control: it stays stopped, and SIGCONT gets through (ptrace(2), PTRACE_LISTEN).
      tracees.set(index, Tracees.GROUP_STOPPED);
      ptrace.listen(tid);
    } else {
      tracees.clear(index, Tracees.GROUP_STOPPED);
      ptrace.resume(tid, 0);
    }
  }

  /**
   * Makes the kernel restart a call that it would let return EINTR because of our interruption:
   * with ERESTARTNOHAND it is issued again unless a handler of the program runs first, and then it
   * returns EINTR as it would have without us (arch/x86/kernel/signal.c,
   * arch_do_signal_or_restart).
   */
  void repairInterruptedCall(int tid, Registers scratch) {
    if (ptrace.getRegisters(tid, scratch) == 0
        && scratch.rax() == -Errno.EINTR
        && BlockedCall.mayBeIssuedAgain(scratch.origRax())) {
      scratch.setRax(-Errno.ERESTARTNOHAND);
      ptrace.setRegisters(tid, scratch);
      repaired = true;
    }
  }

  /** Whether a call has been repaired since {@link #forgetRepairs}. */
  boolean hasRepaired() {
    return repaired;
  }

  void forgetRepairs() {
    repaired = false;
  }

  /** A new thread, or a child process: both are traced from birth and stop before they run. */
  private void firstStop(int tid, boolean mayBeGroupStop) {
    if (!expected.remove(tid)) {
      early.add(tid);
    }
    boolean thread = Kernel.isThreadOf(pid, tid);
    // 1 to 3: ordered, so different; an error: it was killed, and only its end is still to come.
    if (!thread && Kernel.compareMemory(helper != 0 ? helper : pid, tid) > 0) {
      if (early.remove(tid)) {
        settled.add(tid);
      }
      forkedChildren.settle(tid);
      ptrace.detach(tid);
      return;
    }
    int index = tracees.put(tid, Tracees.NEWBORN | (thread ? 0 : Tracees.SHARER));
    if (ptrace.getSignalMask(tid) == 0) {
      tracees.setMask(index, ptrace.word());
    }
    if (stoppingAll) {
      tracees.set(index, Tracees.STOPPED);
      return;
    }
    if (mayBeGroupStop) {
      // If it is one, it reports that again.
      ptrace.interrupt(tid);
    }
    ptrace.resume(tid, 0);
  }

  private void signal(int tid, int signal) {
    if (signal != Ptrace.SIGTRAP) {
      // A handler of the program's is to find it outside.
      see(tid);
      ptrace.resume(tid, signal);
      return;
    }
    int index = tracees.indexOf(tid);
    if (index < 0 || ptrace.getRegisters(tid, registers) < 0) {
      // It was killed: its end comes next.
      return;
    }
    long site = registers.rip() - 1;
    int code = ptrace.signalCode(tid);
    if (code == Ptrace.NO_SIGNAL) {
      return;
    }
    if (code != Ptrace.SI_KERNEL) {
      // Sent by somebody. The kernel merges it with that of a breakpoint run at the same moment.
      if (desk.decide(site) != TrapDesk.Decision.PASS_ON && forkedChildren.breakpointStands(site)) {
        goOnAt(tid, index, site);
      }
      see(tid);
      if (sigtrap.isIgnored()) {
        ptrace.resume(tid, 0);
      } else {
        passOn(tid);
      }
      return;
    }
    switch (desk.decide(site)) {
      case PASS_ON -> {
        tracees.clear(index, Tracees.DRAINING);
        see(tid);
        if (holdingTraps) {
          tracees.set(index, Tracees.HELD);
        } else {
          passOn(tid);
        }
      }
      case PARK -> {
        goOnAt(tid, index, site);
        tracees.set(index, Tracees.PARKED);
      }
      case REDIRECT -> {
        goOnAt(tid, index, desk.copyOf(site));
        run(index);
      }
      case REWIND_IF_GONE -> {
        // Another breakpoint may stand there since: the program's own, or a debugger's.
        if (forkedChildren.breakpointStands(site)) {
          passOn(tid);
        } else {
          goOnAt(tid, index, site);
          run(index);
        }
      }
      case REDIRECT_IF_GONE -> {
        if (forkedChildren.isNotOurs(site)) {
          passOn(tid);
        } else {
          goOnAt(tid, index, desk.copyOf(site));
          run(index);
        }
      }
    }
  }

  /** Sends a thread that has run a breakpoint of ours back to the site, or to the copy. */
  private void goOnAt(int tid, int index, long address) {
    traps++;
    registers.setRip(address);
    ptrace.setRegisters(tid, registers);
    tracees.clear(index, Tracees.DRAINING | Tracees.STOPPING);
    sigtrap.mayBeReset();
    restoreMask(tid, index);
    see(tid);
  }

  /**
   * force_sig has unblocked SIGTRAP though we keep the signal (kernel/signal.c,
   * force_sig_info_to_task). It is blocked again only where the thread must have blocked it: to
   * block it wrongly would kill a program that takes breakpoints of its own. So that has to explain
   * the whole mask, for threads block all signals for moments, as while they are created; and the
   * handler, if there is one, must have been reset, for a thread may have been seen inside it.
   */
  private void restoreMask(int tid, int index) {
    if (!tracees.has(index, Tracees.BLOCKS_SIGTRAP)) {
      return;
    }
    if (sigtrap.hasHandler() && !sigtrap.wasReset(tid)) {
      tracees.setMask(index, tracees.mask(index) & ~ProcStatus.SIGTRAP_BIT);
      return;
    }
    if (ptrace.getSignalMask(tid) == 0
        && ptrace.word() == (tracees.mask(index) & ~ProcStatus.SIGTRAP_BIT)) {
      ptrace.setSignalMask(tid, tracees.mask(index));
    }
  }

  /** Lets a thread run that has trapped; one that was in a group stop goes back to it. */
  private void run(int index) {
    if (tracees.has(index, Tracees.REJOINS_GROUP_STOP)) {
      tracees.clear(index, Tracees.REJOINS_GROUP_STOP);
      ptrace.interrupt(tracees.tid(index));
    }
    if (stoppingAll) {
      tracees.set(index, Tracees.STOPPED);
    } else {
      ptrace.resume(tracees.tid(index), 0);
    }
  }

  private void passOn(int tid) {
    int index = tracees.indexOf(tid);
    // While breakpoints stand, a trap that has reset the handler may be reported after this one.
    boolean mayBeReset = sigtrap.isInDoubt() || (desk.current() != null && sigtrap.hasHandler());
    if (mayBeReset && !sigtrap.isIgnored() && index >= 0) {
      tracees.set(index, Tracees.HELD);
    } else {
      ptrace.resume(tid, Ptrace.SIGTRAP);
    }
  }

  // ---------------------------------------------------------------- parked threads

  /**
   * Lets all parked threads run.
   *
   * @return how many there were
   */
  int releaseParked() {
    int count = 0;
    for (int i = 0; i < tracees.size(); i++) {
      if (tracees.has(i, Tracees.PARKED)) {
        tracees.clear(i, Tracees.PARKED);
        run(i);
        count++;
      } else if (tracees.has(i, Tracees.HELD) && !holdingTraps) {
        tracees.clear(i, Tracees.HELD);
        releaseHeld(i);
      }
    }
    return count;
  }

  /** A breakpoint that nobody knew may be that of a plan that was recovered since. */
  private void releaseHeld(int index) {
    int tid = tracees.tid(index);
    if (ptrace.getRegisters(tid, registers) == 0) {
      long site = registers.rip() - 1;
      TrapDesk.Decision decision = desk.decide(site);
      if (decision == TrapDesk.Decision.REWIND_IF_GONE && !forkedChildren.breakpointStands(site)) {
        goOnAt(tid, index, site);
        run(index);
        return;
      }
      if (decision == TrapDesk.Decision.REDIRECT_IF_GONE && !forkedChildren.isNotOurs(site)) {
        goOnAt(tid, index, desk.copyOf(site));
        run(index);
        return;
      }
    }
    ptrace.resume(tid, Ptrace.SIGTRAP);
  }

  /** Whether threads that run a breakpoint which nobody knows wait for {@link #releaseParked}. */
  void setHoldingTraps(boolean hold) {
    holdingTraps = hold;
  }

  /** See {@link #setHoldingTraps}. */
  boolean holdsTraps() {
    return holdingTraps;
  }

  /** Whether job control has stopped the target since this was last asked. */
  boolean takeGroupStop() {
    boolean saw = sawGroupStop;
    sawGroupStop = false;
    return saw;
  }

  /** Whether a child is on its way that has not reported itself. */
  boolean expectsChildren() {
    return !expected.isEmpty();
  }

  /** Some children are killed before they report themselves. */
  void forgetDeadChildren() {
    expected.removeIf(child -> ProcStatus.read(child) == null);
  }

  /** From now on whoever stops stays stopped, or runs again. */
  void setStoppingAll(boolean stopping) {
    stoppingAll = stopping;
  }
}
