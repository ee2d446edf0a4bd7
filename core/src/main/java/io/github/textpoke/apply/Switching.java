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
import io.github.textpoke.unwind.Frame;
import io.github.textpoke.unwind.StackTrace;
import io.github.textpoke.unwind.Usage;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
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
final class Switching implements ThreadLooks.Onlooker {
  private static final int FUTEX_WAKE_PRIVATE = 1 | 128;
  private static final int FUTEX_WAKE_OP_PRIVATE = 5 | 128;
  private static final int ALL = Integer.MAX_VALUE;

  /** FUTEX_OP(FUTEX_OP_OR, COMMIT, FUTEX_OP_CMP_EQ, 0): include/uapi/linux/futex.h. */
  private static final int OR_COMMIT = 2 << 28 | Turn.COMMIT << 12;

  private final Tracer tracer;
  private final Helper helper;
  private final Tracees tracees;
  private final ThreadStacks stacks;
  private final ThreadLooks looks;
  private final TurnSwitch what;
  private final ImmutableList<Extent> code;
  private final ImmutableList<Gate> gates;
  private final Registers registers = new Registers();
  private final NativeBytes word = new NativeBytes(Long.BYTES);
  private final List<Blocker> blocked = new ArrayList<>();
  private int stopped;

  /**
   * @param stacks of the target, which know what is on them in its gates
   */
  Switching(Tracer tracer, Helper helper, TurnSwitch what, ThreadStacks stacks) {
    this.tracer = tracer;
    this.helper = helper;
    this.tracees = tracer.tracees;
    this.stacks = stacks;
    this.looks = new ThreadLooks(tracer);
    this.what = what;
    // Who was interrupted in a gate by a signal goes on by what it has read there.
    this.code =
        Stream.concat(what.left().stream(), what.gates().stream().map(Gate::code))
            .collect(ImmutableList.toImmutableList());
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
          helper.call(Kernel.SYS_FUTEX, what.turn(), FUTEX_WAKE_PRIVATE, ALL, 0, 0, 0);
        }
      }
      return report(isDone, System.nanoTime() - start);
    } finally {
      looks.end();
    }
  }

  /** Looks at each thread once, and leaves those alone that run. */
  private void lookBefore() {
    for (int i = 0; i < tracees.size(); i++) {
      BlockedCall where = BlockedCall.read(tracees.tid(i));
      if (where == null || where.running() || waits(where.instructionPointer())) {
        continue;
      }
      Usage usage = stacks.use(tracees.tid(i), code);
      if (!(usage instanceof Usage.Untold)) {
        isOutside(i, usage, where.stackPointer(), null);
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
            Kernel.SYS_FUTEX, what.turn(), FUTEX_WAKE_OP_PRIVATE, ALL, 1, what.turn(), OR_COMMIT);
    if (result < 0) {
      throw new SystemCallException(
          "futex(FUTEX_WAKE_OP) in process " + tracer.pid(), (int) -result, Outcome.ROLLED_BACK);
    }
    tracer.memory().read(what.turn(), word.address(0), Integer.BYTES);
    return Turn.isNew((int) word.getLong(0)) == what.toNew();
  }

  @Override
  public void look(MemoryMap mappings) {
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
    StackTrace trace = stacks.of(registers);
    Gate gate = gateAt(registers.rip());
    if (gate == null || !gate.waiting().contains(registers.rip())) {
      // In a gate it has read the turn, or is about to: soon it is elsewhere.
      accept(index, isOutside(index, stacks.use(trace, code), registers.rsp(), trace));
      return;
    }
    ImmutableList<Frame> callers = trace.frames().subList(1, trace.frames().size());
    Usage usage = stacks.use(new StackTrace(callers, trace.end()), code);
    if (isOutside(index, usage, registers.rsp(), trace)) {
      // What it has read of the turn may be of an earlier try.
      registers.setRip(gate.waiting().start());
      registers.leaveSystemCall();
      accept(index, tracer.ptrace.setRegisters(tid, registers) == 0);
    } else {
      registers.setRip(what.toNew() ? gate.toOld() : gate.toNew());
      registers.leaveSystemCall();
      tracer.ptrace.setRegisters(tid, registers);
    }
  }

  @Override
  public void seeTrapped(int index) {
    // It will run the breakpoint's site again, or go on in a copy: what that is is not known here.
    if (tracer.ptrace.getRegisters(tracees.tid(index), registers) == 0) {
      note(index, registers.rip() - 1, false, registers.rsp(), "it has run a breakpoint", null);
    }
  }

  @Override
  public boolean seeBlocked(int index, BlockedCall where) {
    Usage usage = stacks.use(tracees.tid(index), code);
    if (usage instanceof Usage.Untold || waits(where.instructionPointer())) {
      return false;
    }
    accept(index, isOutside(index, usage, where.stackPointer(), null));
    return true;
  }

  private void accept(int index, boolean isOutside) {
    if (isOutside) {
      tracees.clear(index, Tracees.EVACUATING);
    }
  }

  /**
   * Whether a thread that was looked at is outside of what is left, and of all gates.
   *
   * @param trace its frames; null: it is blocked, and they are read again where they are wanted
   */
  private boolean isOutside(int index, Usage usage, long stackPointer, @Nullable StackTrace trace) {
    if (usage instanceof Usage.Unused) {
      return true;
    }
    if (usage instanceof Usage.Used used) {
      note(index, used.frame().pc(), used.frame().isReturnAddress(), stackPointer, "", trace);
    } else if (usage instanceof Usage.Possible possible) {
      note(index, possible.word(), true, stackPointer, possible.reason(), trace);
    } else if (usage instanceof Usage.Untold untold) {
      note(index, 0, false, stackPointer, untold.reason(), trace);
    } else {
      throw new IllegalStateException("a usage that is not known here: " + usage);
    }
    return false;
  }

  private void note(
      int index,
      long code,
      boolean returns,
      long stackPointer,
      String doubt,
      @Nullable StackTrace known) {
    int tid = tracees.tid(index);
    BlockedCall where = BlockedCall.read(tid);
    Optional<StackTrace> trace = Optional.ofNullable(known);
    if (known == null && stacks.look(tid) instanceof ThreadStacks.Seen seen) {
      trace = Optional.of(seen.trace());
    }
    blocked.add(
        new Blocker(
            tid,
            ProcStatus.name(tid),
            where == null ? "not to be looked at" : where.describe(),
            code,
            returns,
            stackPointer,
            doubt,
            trace));
  }

  /** Whether it waits in a gate: it lets others run, and will read the turn again. */
  private boolean waits(long address) {
    Gate gate = gateAt(address);
    return gate != null && gate.waiting().contains(address);
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
