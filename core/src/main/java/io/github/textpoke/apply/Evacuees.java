package io.github.textpoke.apply;

import io.github.textpoke.linux.Ptrace;
import io.github.textpoke.linux.Registers;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.MemoryMap;
import java.util.Arrays;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Threads that may stand inside of a site which is evacuated, and moving them out. On every
 * boundary inside stands a breakpoint that every core sees, so who was seen outside stays outside.
 * Of the tracer's thread.
 */
final class Evacuees implements ThreadLooks.Onlooker {
  private final Ptrace ptrace;
  private final Tracees tracees;
  private final StackScan stacks;
  private final Registers registers = new Registers();

  /** The boundaries inside, with their copies; null: nothing is evacuated. */
  private @Nullable Addresses boundaries;

  private LongPredicate traps = address -> false;

  /** The target's mappings: none that a thread had its stack in can be missing. */
  private @Nullable MemoryMap map;

  /** Of the last thread whose stack leads inside: its id, the address of the word, the word. */
  private int holder;

  private long[] seenStacks = new long[64];
  private int seen;

  private long holdingWord;
  private long heldBoundary;

  /** Threads that were moved since the start. */
  private long moved;

  Evacuees(Ptrace ptrace, Tracees tracees, StackScan stacks) {
    this.ptrace = ptrace;
    this.tracees = tracees;
    this.stacks = stacks;
  }

  /**
   * From now on {@link #see} looks for threads on {@code inside}.
   *
   * @param takesTrapAt whether a breakpoint of ours stands at an address
   */
  void begin(Addresses inside, LongPredicate takesTrapAt) {
    boundaries = inside;
    traps = takesTrapAt;
    holder = 0;
    seen = 0;
  }

  @Override
  public void look(MemoryMap mappings) {
    map = mappings;
  }

  /** Nothing is evacuated any more. */
  void end() {
    boundaries = null;
    map = null;
  }

  long moved() {
    return moved;
  }

  /**
   * Looks at a stopped thread, whose instruction pointer is where it will go on: it has no trap of
   * ours to report. Moves it to the copy, if it stands inside; a signal that it is about to get
   * finds it there. Then it is known to be outside, unless its stack says that it comes back.
   */
  @Override
  public void see(int index) {
    Addresses inside = boundaries;
    int tid = tracees.tid(index);
    if (inside == null || ptrace.getRegisters(tid, registers) < 0) {
      // It was killed: its end comes next.
      return;
    }
    inside.look(registers);
    long copy = inside.get(registers.rip());
    if (copy != 0) {
      registers.setRip(copy);
      if (ptrace.setRegisters(tid, registers) < 0) {
        return;
      }
      moved++;
    }
    seeOutside(index, registers.rsp());
  }

  /** It stands at the breakpoint, not behind it, and is sent on when it is released. */
  @Override
  public void seeTrapped(int index) {
    if (ptrace.getRegisters(tracees.tid(index), registers) == 0) {
      seeOutside(index, registers.rsp());
    }
  }

  /** One that is blocked inside has to be moved. */
  @Override
  public boolean seeBlocked(int index, BlockedCall where) {
    Addresses inside = boundaries;
    // Behind a breakpoint of ours it has run that, and the trap is on its way.
    if (inside == null
        || inside.get(where.instructionPointer()) != 0
        || traps.test(where.instructionPointer() - 1)) {
      return false;
    }
    seeOutside(index, where.stackPointer());
    return true;
  }

  /** As {@link #see}, of a thread that is known to stand outside. */
  private void seeOutside(int index, long stackPointer) {
    Addresses inside = boundaries;
    MemoryMap mappings = map;
    if (inside == null || mappings == null) {
      return;
    }
    long word = stacks.find(mappings, stackPointer, inside);
    if (word == 0) {
      tracees.clear(index, Tracees.EVACUATING);
      if (seen == seenStacks.length) {
        seenStacks = Arrays.copyOf(seenStacks, 2 * seen);
      }
      seenStacks[seen++] = stackPointer;
    } else {
      holder = tracees.tid(index);
      holdingWord = word;
      heldBoundary = stacks.found();
    }
  }

  /** Stack pointers of those that were seen outside, whose stacks don't lead inside. */
  long[] seenStacks() {
    return Arrays.copyOf(seenStacks, seen);
  }

  /** The last thread that was seen to come back inside; 0: none was. */
  int holder() {
    return holder;
  }

  /** Absolute address of the word on its stack that says so. */
  long holdingWord() {
    return holdingWord;
  }

  /** The boundary, absolute, to which it comes back. */
  long heldBoundary() {
    return heldBoundary;
  }
}
