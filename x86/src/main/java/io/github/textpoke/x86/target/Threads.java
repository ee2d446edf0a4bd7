package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.TRACEES;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_CAPACITY;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_FLAGS;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_MASK;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.TRACEE_TID;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/** The threads that the poker traces: a table without order and without gaps. */
final class Threads {
  /** It was seen to block SIGTRAP: an int3 of ours unblocks it. */
  static final int BLOCKS_SIGTRAP = 1;

  /** Born since the last plan: what it blocks is not settled. */
  static final int NEWBORN = 1 << 1;

  /** Of another process that shares the memory. */
  static final int SHARER = 1 << 2;

  /** Asked to stop, so that we see it clean before we leave. */
  static final int DRAINING = 1 << 3;

  /** Stopped with a SIGTRAP of the program's own, until the handler is put back. */
  static final int HELD = 1 << 4;

  /** Stopped by job control, but has to report a trap first. */
  static final int REJOINS_GROUP_STOP = 1 << 5;

  /** Stopped by job control. */
  static final int GROUP_STOPPED = 1 << 6;

  /** Reported by its parent, and has not reported itself. */
  static final int EXPECTED = 1 << 7;

  /** A child that was let go before its parent has reported it. */
  static final int SETTLED = 1 << 8;

  /** Seized, and what it blocks was not looked at yet. */
  static final int UNREAD = 1 << 9;

  /** Waits for a child that shares its memory until it execs or ends: it can't stop before. */
  static final int VFORKS = 1 << 10;

  /** Stopped at a breakpoint of a plan that is under way, until that is over. */
  static final int PARKED = 1 << 11;

  /** May stand inside of a site that is evacuated, or come back there. */
  static final int EVACUATING = 1 << 12;

  /** Asked to stop, so that we see where it stands. */
  static final int ASKED = 1 << 13;

  /** Was blocked in a system call when the drain looked at it last. */
  static final int BLOCKED = 1 << 14;

  /** {@code find(tid)}: the entry's address, 0 where there is none. */
  final Routine find;

  /** {@code add(tid, flags)}: the new entry's address, 0 where the table is full. */
  final Routine add;

  /** {@code remove(tid)}. */
  final Routine remove;

  /** {@code count(flags)}: how many entries have one of these flags. */
  final Routine count;

  /** {@code setMask(entry, mask)}: notes the signals that a thread blocks. */
  final Routine setMask;

  /** How many entries there are. */
  final Slot size;

  private final Emitter emitter;
  private final Slot entry;
  private final Slot index;

  /** Threads are looked for in the order in which they were added: from the last one on. */
  private final Slot last;

  /** No thread has a greater id. */
  private final Slot highest;

  Threads(Emitter emitter, Leaves leaves) {
    this.emitter = emitter;
    size = emitter.variable();
    entry = emitter.variable();
    index = emitter.variable();
    last = emitter.variable();
    highest = emitter.variable();
    Slot added = emitter.variable();
    Slot addedFlags = emitter.variable();
    Slot removed = emitter.variable();
    Slot counted = emitter.variable();
    Slot sum = emitter.variable();
    find = leaves.findThread(last, size, highest);
    add =
        emitter.routine(
            "addThread",
            "note a thread, or replace what is known of it",
            ImmutableList.of(added, addedFlags),
            () -> {
              emitter.set(entry, find.of(added));
              emitter.when(
                  entry.is(0),
                  () -> {
                    emitter.when(size.is(TRACEE_CAPACITY), () -> emitter.give(0));
                    emitter.set(entry, end());
                    emitter.add(size, 1);
                    emitter.when(added.isGreater(highest), () -> emitter.set(highest, added));
                  });
              emitter.store(entry, TRACEE_TID, 4, added);
              emitter.store(entry, TRACEE_FLAGS, 4, addedFlags);
              emitter.store(entry, TRACEE_MASK, 4, Value.of(0));
              emitter.give(entry);
            });
    remove =
        emitter.routine(
            "removeThread",
            "forget a thread: the last entry takes its place",
            ImmutableList.of(removed),
            () -> {
              emitter.set(entry, find.of(removed));
              emitter.when(
                  entry.isNot(0),
                  () -> {
                    emitter.set(size, size.minus(1));
                    emitter.store(entry, 0, 8, end().at(0));
                    emitter.store(entry, 8, 8, end().at(8));
                  });
            });
    Slot masked = emitter.variable();
    Slot mask = emitter.variable();
    setMask =
        emitter.routine(
            "setMask",
            "note the signals that a thread blocks",
            ImmutableList.of(masked, mask),
            () -> {
              emitter.store(masked, TRACEE_MASK, 4, mask);
              clear(masked, BLOCKS_SIGTRAP);
              emitter.when(mask.has(1 << Sys.SIGTRAP - 1), () -> set(masked, BLOCKS_SIGTRAP));
            });
    count =
        emitter.routine(
            "countThreads",
            "how many have one of these flags",
            ImmutableList.of(counted),
            () -> {
              emitter.set(sum, 0);
              emitter.times(
                  index,
                  size,
                  () ->
                      emitter.when(
                          new Value.Binary(
                                  Assembler.Operation.AND, at(index).intAt(TRACEE_FLAGS), counted)
                              .isNot(0),
                          () -> emitter.add(sum, 1)));
              emitter.give(sum);
            });
  }

  /** Begins with none. */
  void forgetAll() {
    emitter.set(size, 0);
    emitter.set(highest, 0);
    emitter.set(last, new Place(TRACEES));
  }

  private Value end() {
    return at(size);
  }

  /** Address of the entry of an index. */
  static Value at(Value index) {
    return new Place(TRACEES).plus(index.times(TRACEE_SIZE));
  }

  /** What is known of an entry's thread. */
  static Value flags(Value entry) {
    return entry.intAt(TRACEE_FLAGS);
  }

  /** Its thread id. */
  static Value tid(Value entry) {
    return entry.intAt(TRACEE_TID);
  }

  /** Asks its thread to stop for a moment; 0: it will, unless it blocks. */
  static Value interrupt(Value entry) {
    return Emitter.call(
        Sys.PTRACE, Value.of(Sys.PTRACE_INTERRUPT), tid(entry), Value.of(0), Value.of(0));
  }

  /** Notes something of an entry's thread. */
  void set(Value entry, int flag) {
    emitter.store(entry, TRACEE_FLAGS, 4, flags(entry).or(flag));
  }

  /** Forgets something of an entry's thread. */
  void clear(Value entry, int flag) {
    emitter.store(entry, TRACEE_FLAGS, 4, flags(entry).and(~flag));
  }
}
