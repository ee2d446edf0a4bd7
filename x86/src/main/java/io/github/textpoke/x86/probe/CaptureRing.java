package io.github.textpoke.x86.probe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Lists;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.process.MemoryReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * Takes the records out of the ring of a {@link CaptureTable} while the target writes there. Each
 * ticket is delivered once or lost once.
 *
 * <p>Slots are read three times, one read behind the other. A record is taken from the second if
 * the first and the third say that it is complete: in between nobody can have written there, for
 * whoever writes changes the state before, and no ticket comes again. (A read of several pages is
 * in no order, but aligned words come whole; processors keep the order of loads, SDM vol. 3 9.2.2.)
 *
 * <p>A ticket without a complete record is lost if the slot is a later one's; or if all tickets of
 * that slot are done with, so that it was refused. Else its thread is on the way, and it is looked
 * at again the next time; but a thread that is on the way for a second may never come.
 *
 * <p>Mutable, of one thread.
 */
final class CaptureRing {
  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** Slots that are read at once. */
  private static final int CHUNK = 256;

  private final CaptureTable table;
  private final long data;
  private final ProbeAction.Capture action;
  private final ImmutableList<ProbedFunction> functions;

  /** The first ticket that nobody has looked at. */
  private long next;

  /** Those before that may come still, and since when that is known, of System.nanoTime. */
  private final NavigableMap<Long, Long> late = new TreeMap<>();

  private long unkept;

  /** Delivered or lost. */
  private long settled;

  /** How many calls were counted when it was drained last. */
  private long known;

  private boolean isClosed;

  /**
   * @param data absolute address of the table
   * @param counted how many calls were counted in other memory
   */
  CaptureRing(
      CaptureTable table,
      long data,
      ProbeAction.Capture action,
      ImmutableList<ProbedFunction> functions,
      long counted) {
    this.table = table;
    this.data = data;
    this.action = action;
    this.functions = functions;
    this.settled = counted;
  }

  /** What is there now is not ours. */
  void skip(MemoryReader memory) {
    next = word(memory, CaptureTable.TICKETS);
    unkept = word(memory, CaptureTable.UNKEPT);
  }

  /**
   * Takes what is there.
   *
   * @param isOurs whether the memory has not been given to somebody else
   * @param counted how many calls were counted until now, as far as that is known
   * @return how many have got lost since the last time
   */
  long drain(
      MemoryReader memory,
      BooleanSupplier isOurs,
      LongSupplier counted,
      TimeStampCounter.Scale scale,
      Consumer<CapturedCall> taken) {
    if (isClosed) {
      return 0;
    }
    if (isOurs.getAsBoolean()) {
      List<CapturedCall> calls = new ArrayList<>();
      long lost = read(memory, scale, calls::add);
      if (isOurs.getAsBoolean()) {
        Lists.reverse(calls).forEach(taken);
        settled += calls.size() + lost;
        // Should the memory be given away before the next time, it is known what has got lost.
        known = counted.getAsLong();
        return lost;
      }
    }
    return close(Math.max(known, counted.getAsLong()));
  }

  /** The memory is somebody else's: all that was counted and not taken is lost. */
  long close(long counted) {
    long lost = isClosed ? 0 : counted - settled;
    isClosed = true;
    return lost;
  }

  /** Gives them the newest first. */
  private long read(
      MemoryReader memory, TimeStampCounter.Scale scale, Consumer<CapturedCall> taken) {
    long issued = word(memory, CaptureTable.TICKETS);
    long unkeptNow = word(memory, CaptureTable.UNKEPT);
    long lost = unkeptNow - unkept;
    unkept = unkeptNow;
    // The tickets of a lap later are there already.
    long oldest = issued - table.records();
    NavigableMap<Long, Long> passed = late.headMap(oldest, false);
    lost += passed.size() + Math.max(0, oldest - next);
    passed.clear();
    long fresh = Math.max(next, oldest);
    long from = late.isEmpty() ? fresh : late.firstKey();
    // The newest first: those that are to be written over next would be gone when they are read.
    for (long end = issued; end > from; ) {
      int last = (int) (end - 1 & table.records() - 1);
      int count = (int) Math.min(end - from, Math.min(CHUNK, last + 1));
      Slots slots = new Slots(memory, last + 1 - count, count);
      end -= count;
      for (int i = count - 1; i >= 0; i--) {
        if (end + i >= fresh || late.containsKey(end + i)) {
          lost += settle(slots, i, end + i, scale, taken);
        }
      }
    }
    next = issued;
    return lost;
  }

  /** Returns 1 where the ticket is lost. */
  private long settle(
      Slots slots,
      int index,
      long ticket,
      TimeStampCounter.Scale scale,
      Consumer<CapturedCall> taken) {
    switch (slots.fate(ticket, index)) {
      case COMPLETE -> {
        taken.accept(call(slots.second, index * CaptureTable.SLOT, scale));
        late.remove(ticket);
      }
      case LOST -> {
        late.remove(ticket);
        return 1;
      }
      case ON_THE_WAY -> {
        long now = System.nanoTime();
        if (now - late.computeIfAbsent(ticket, any -> now) > PATIENCE_NANOS) {
          late.remove(ticket);
          return 1;
        }
      }
    }
    return 0;
  }

  private enum Fate {
    COMPLETE,
    LOST,
    ON_THE_WAY
  }

  /** Some slots, one behind the other, read three times. */
  private final class Slots {
    private final int first;
    private final ByteBuffer before;
    private final ByteBuffer second;
    private final ByteBuffer after;
    private final long issuedAfter;

    Slots(MemoryReader memory, int slot, int count) {
      long address = data + table.slots() + (long) slot * CaptureTable.SLOT;
      int length = count * CaptureTable.SLOT;
      this.first = slot;
      this.before = bytes(memory, address, length);
      this.second = bytes(memory, address, length);
      this.after = bytes(memory, address, length);
      this.issuedAfter = word(memory, CaptureTable.TICKETS);
    }

    Fate fate(long ticket, int index) {
      int at = index * CaptureTable.SLOT;
      long complete = 2 * ticket + 2;
      long state = after.getLong(at + CaptureTable.STATE);
      boolean isComplete = state == complete && before.getLong(at + CaptureTable.STATE) == complete;
      int function = second.getInt(at + CaptureTable.FUNCTION);
      if (isComplete && function >= 0 && function < functions.size()) {
        return Fate.COMPLETE;
      }
      if (isComplete || state > complete) {
        return Fate.LOST;
      }
      long done =
          before.getLong(at + CaptureTable.COMPLETED) + before.getLong(at + CaptureTable.REFUSED);
      // Of those below issuedAfter, every so many-th is for this slot.
      long issued = (issuedAfter - (first + index) + table.records() - 1) / table.records();
      return state != complete && done == issued ? Fate.LOST : Fate.ON_THE_WAY;
    }
  }

  private CapturedCall call(ByteBuffer from, int at, TimeStampCounter.Scale scale) {
    long begun = from.getLong(at + CaptureTable.BEGUN);
    long kind = from.getLong(at + CaptureTable.KIND);
    int thread = from.getInt(at + CaptureTable.THREAD);
    ImmutableLongArray.Builder arguments = ImmutableLongArray.builder();
    for (int i = 0; i < action.arguments().size(); i++) {
      long register = from.getLong(at + CaptureTable.ARGUMENTS + i * Long.BYTES);
      arguments.add(action.arguments().get(i).in(register));
    }
    return new CapturedCall(
        functions.get(from.getInt(at + CaptureTable.FUNCTION)),
        scale.nanos(begun),
        from.getLong(at + CaptureTable.POINTER),
        thread == 0 ? OptionalInt.empty() : OptionalInt.of(thread),
        arguments.build(),
        kind == CaptureTable.HAS_RETURNED
            ? OptionalLong.of(
                action.returned().orElseThrow().in(from.getLong(at + CaptureTable.RETURNED)))
            : OptionalLong.empty(),
        kind == CaptureTable.ENTERED
            ? OptionalLong.empty()
            : OptionalLong.of(
                Math.max(0, scale.duration(from.getLong(at + CaptureTable.ENDED) - begun))));
  }

  private long word(MemoryReader memory, int offset) {
    return bytes(memory, data + table.head() + offset, Long.BYTES).getLong();
  }

  private static ByteBuffer bytes(MemoryReader memory, long address, int length) {
    return ByteBuffer.wrap(memory.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
