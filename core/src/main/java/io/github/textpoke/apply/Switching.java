package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.PatchException.SystemCallException;
import io.github.textpoke.apply.SwitchReport.Blocker;
import io.github.textpoke.apply.TurnSwitch.Gate;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.NativeBytes;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.MemoryMap;
import io.github.textpoke.process.ProcStatus;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Changes a {@link Turn} at a moment at which no thread is in the code that is left. Of the
 * tracer's thread.
 *
 * <ol>
 *   <li>Looks at all threads. If one that is blocked is in what is left, nothing is tried: it would
 *       not come out in time.
 *   <li>Holds the turn: who comes to a gate waits. From now on who is seen outside stays outside,
 *       for the way in leads through a gate.
 *   <li>Looks at each thread until it was seen outside once. One that waits at a gate and is still
 *       inside (an old function has called another one) is let through.
 *   <li>Commits, if all were seen in time, by one atomic operation, which fails if the hold has
 *       expired; else goes back to what was.
 * </ol>
 *
 * <p>No thread that is blocked in a system call is stopped. Not found is code that a fiber is in
 * which no thread runs.
 */
final class Switching implements ThreadLooks.Onlooker, Addresses {
  private static final int FUTEX_WAKE_OP_PRIVATE = 5 | 128;

  /** FUTEX_OP(FUTEX_OP_OR, COMMIT, FUTEX_OP_CMP_EQ, 0): include/uapi/linux/futex.h. */
  private static final int OR_COMMIT = 2 << 28 | Turn.COMMIT << 12;

  private final Tracer tracer;
  private final Helper helper;
  private final Tracees tracees;
  private final StackScan stacks;
  private final ThreadLooks looks;
  private final TurnSwitch what;
  private final ImmutableList<Extent> left;
  private final ImmutableList<Gate> gates;
  private final Registers registers = new Registers();
  private final NativeBytes word = new NativeBytes(Long.BYTES);
  private final List<Blocker> blocked = new ArrayList<>();
  private @Nullable MemoryMap map;
  private int stopped;

  Switching(Tracer tracer, Helper helper, TurnSwitch what) {
    this.tracer = tracer;
    this.helper = helper;
    this.tracees = tracer.tracees;
    this.stacks = new StackScan(tracer.memory());
    this.looks = new ThreadLooks(tracer);
    this.what = what;
    this.left = ImmutableList.sortedCopyOf(Comparator.comparingLong(Extent::start), what.left());
    this.gates =
        ImmutableList.sortedCopyOf(
            Comparator.comparingLong(gate -> gate.code().start()), what.gates());
  }

  /**
   * Tries it once.
   *
   * @throws PatchException if the target has ended or runs another program
   */
  SwitchReport run() {
    int before = what.toNew() ? Turn.OLD : Turn.NEW;
    try {
      lookBefore();
      if (!blocked.isEmpty()) {
        return report(false, 0);
      }
      long start = System.nanoTime();
      set(what.toNew() ? Turn.HELD_OLD : Turn.HELD_NEW);
      boolean isDone = false;
      try {
        blocked.clear();
        isDone = looks.run(this, start + what.hold().toNanos()) && commit();
      } finally {
        if (!tracer.isOver()) {
          set(isDone == what.toNew() ? Turn.NEW : Turn.OLD);
        }
      }
      return report(isDone, System.nanoTime() - start);
    } finally {
      looks.end();
    }
  }

  /** Looks at each thread once, and leaves those alone that run. */
  private void lookBefore() {
    map = MemoryMap.read(tracer.pid());
    for (int i = 0; i < tracees.size(); i++) {
      BlockedCall where = BlockedCall.read(tracees.tid(i));
      if (where != null && !where.running()) {
        check(i, where.instructionPointer(), where.stackPointer());
      }
    }
  }

  private SwitchReport report(boolean isDone, long nanos) {
    return new SwitchReport(
        isDone, isDone ? ImmutableList.of() : ImmutableList.copyOf(blocked), nanos, stopped);
  }

  private void set(int value) {
    word.putLong(0, value);
    tracer.memory().write(what.turn(), word.address(0), Integer.BYTES);
  }

  /** Atomically; false if somebody has waited too long. */
  private boolean commit() {
    long result =
        helper.call(
            Kernel.SYS_FUTEX, what.turn(), FUTEX_WAKE_OP_PRIVATE, 1, 1, what.turn(), OR_COMMIT);
    if (result < 0) {
      throw new SystemCallException(
          "futex(FUTEX_WAKE_OP) in process " + tracer.pid(), (int) -result, Outcome.ROLLED_BACK);
    }
    tracer.memory().read(what.turn(), word.address(0), Integer.BYTES);
    return Turn.isNew((int) word.getLong(0)) == what.toNew();
  }

  @Override
  public void look(MemoryMap mappings) {
    map = mappings;
    blocked.clear();
  }

  @Override
  public void see(int index) {
    int tid = tracees.tid(index);
    if (tracer.ptrace.getRegisters(tid, registers) < 0) {
      // It was killed: its end comes next.
      return;
    }
    stopped++;
    Gate gate = gateAt(registers.rip());
    if (gate == null) {
      accept(index, check(index, registers.rip(), registers.rsp()));
    } else if (!gate.waiting().contains(registers.rip())) {
      // It has read the turn, or is about to: soon it is elsewhere.
      note(index, registers.rip(), 0, registers.rsp());
    } else if (check(index, 0, registers.rsp())) {
      // What it has read of the turn may be of an earlier try.
      registers.setRip(gate.waiting().start());
      accept(index, tracer.ptrace.setRegisters(tid, registers) == 0);
    } else {
      registers.setRip(what.toNew() ? gate.toOld() : gate.toNew());
      tracer.ptrace.setRegisters(tid, registers);
    }
  }

  @Override
  public void seeTrapped(int index) {
    // It will run the breakpoint's site again: what that is is not known here.
    if (tracer.ptrace.getRegisters(tracees.tid(index), registers) == 0) {
      accept(index, check(index, registers.rip() - 1, registers.rsp()));
    }
  }

  @Override
  public boolean seeBlocked(int index, BlockedCall where) {
    accept(index, check(index, where.instructionPointer(), where.stackPointer()));
    return true;
  }

  private void accept(int index, boolean isOutside) {
    if (isOutside) {
      tracees.clear(index, Tracees.EVACUATING);
    }
  }

  /** Whether a thread is outside of what is left. */
  private boolean check(int index, long instructionPointer, long stackPointer) {
    MemoryMap mappings = map;
    if (isLeft(instructionPointer) || gateAt(instructionPointer) != null) {
      note(index, instructionPointer, 0, stackPointer);
      return false;
    }
    long found = mappings == null ? 0 : stacks.find(mappings, stackPointer, this);
    if (found != 0) {
      note(index, stacks.found(), found, stackPointer);
    }
    return found == 0;
  }

  private void note(int index, long code, long at, long stackPointer) {
    int tid = tracees.tid(index);
    BlockedCall where = BlockedCall.read(tid);
    blocked.add(
        new Blocker(
            tid,
            ProcStatus.name(tid),
            where == null ? "not to be looked at" : where.describe(),
            code,
            at,
            stackPointer));
  }

  /**
   * A return address: that of the first instruction is none, that behind the last may be. Who was
   * interrupted in a gate by a signal goes on by what it has read there.
   */
  @Override
  public long get(long address) {
    return isLeft(address - 1) || gateAt(address) != null ? 1 : 0;
  }

  private boolean isLeft(long address) {
    int low = 0;
    int high = left.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (left.get(middle).start() <= address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low > 0 && left.get(low - 1).contains(address);
  }

  private @Nullable Gate gateAt(long address) {
    int low = 0;
    int high = gates.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (gates.get(middle).code().start() <= address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low > 0 && gates.get(low - 1).code().contains(address) ? gates.get(low - 1) : null;
  }
}
