package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableLongArray;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.process.MemoryReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/** What becomes of each ticket, whatever a writer does between two reads. */
final class CaptureRingTest {
  private static final int RECORDS = 4;
  private static final ProbedFunction FUNCTION =
      new ProbedFunction("f", 0x1000, ImmutableList.of(), new ProbeStand.Jump());
  private static final ProbeAction.Capture ACTION =
      ProbeAction.capture(Argument.of(1).as(IntegerType.INT16)).keeping(RECORDS);

  private final CaptureTable table = new CaptureTable(1, 2, RECORDS, false);
  private final ByteBuffer memory =
      ByteBuffer.wrap(table.initial(0, 0).toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
  private final CaptureRing ring = new CaptureRing(table, 0, ACTION, ImmutableList.of(FUNCTION), 0);
  private final List<Long> delivered = new ArrayList<>();
  private long lost;
  private long counted;

  /** What a writer does before reads of slots, in their order. */
  private final List<Runnable> before = new ArrayList<>();

  private final MemoryReader reader =
      (address, length) -> {
        boolean isOfSlots = address >= table.slots();
        if (isOfSlots && !before.isEmpty()) {
          before.remove(0).run();
        }
        return CodeBytes.copyOf(memory.array(), (int) address, (int) address + length);
      };

  private int slot(long ticket) {
    return (int) (table.slots() + ticket % RECORDS * CaptureTable.SLOT);
  }

  private long take() {
    int at = (int) table.head() + CaptureTable.TICKETS;
    long ticket = memory.getLong(at);
    memory.putLong(at, ticket + 1);
    counted++;
    return ticket;
  }

  private void begin(long ticket) {
    memory.putLong(slot(ticket) + CaptureTable.STATE, 2 * ticket + 1);
    memory.putLong(slot(ticket) + CaptureTable.ARGUMENTS, ticket * 10);
    memory.putInt(slot(ticket) + CaptureTable.THREAD, 7);
  }

  private void complete(long ticket) {
    add(slot(ticket) + CaptureTable.COMPLETED);
    memory.putLong(slot(ticket) + CaptureTable.STATE, 2 * ticket + 2);
  }

  private void refuse(long ticket) {
    add(slot(ticket) + CaptureTable.REFUSED);
  }

  private void add(int at) {
    memory.putLong(at, memory.getLong(at) + 1);
  }

  private void write() {
    long ticket = take();
    begin(ticket);
    complete(ticket);
  }

  private void drain() {
    drain(true);
  }

  private void drain(boolean isOurs) {
    lost +=
        ring.drain(
            reader,
            () -> isOurs,
            () -> counted,
            TimeStampCounter.get().scale(),
            call -> delivered.add(call.arguments().get(0)));
  }

  @Test
  void recordsAreDeliveredOnceInTheirOrder() {
    write();
    write();
    drain();
    drain();
    write();
    drain();
    assertThat(delivered).containsExactly(0L, 10L, 20L);
    assertThat(lost).isZero();
  }

  @Test
  void aRecordSaysWhatItsSlotHolds() {
    long ticket = take();
    begin(ticket);
    memory.putLong(slot(ticket) + CaptureTable.ARGUMENTS, 0x1234_ffffL);
    memory.putLong(slot(ticket) + CaptureTable.POINTER, 0x7000);
    complete(ticket);
    List<CapturedCall> calls = new ArrayList<>();
    TimeStampCounter.Scale scale = TimeStampCounter.get().scale();
    ring.drain(reader, () -> true, () -> counted, scale, calls::add);
    CapturedCall call = calls.get(0);
    assertThat(call.function()).isEqualTo(FUNCTION);
    assertThat(call.arguments()).isEqualTo(ImmutableLongArray.of(-1));
    assertThat(call.threadPointer()).isEqualTo(0x7000);
    assertThat(call.thread()).isEqualTo(OptionalInt.of(7));
    assertThat(call.returned()).isEmpty();
    assertThat(call.tookNanos()).isEmpty();
  }

  @Test
  void whatIsOverwrittenBeforeAnybodyHasTakenItIsLost() {
    for (int i = 0; i < 11; i++) {
      write();
    }
    drain();
    assertThat(delivered).containsExactly(70L, 80L, 90L, 100L);
    assertThat(lost).isEqualTo(7);
  }

  @Test
  void oneThatIsOnTheWayIsDeliveredWhenItIsComplete() {
    long slow = take();
    write();
    drain();
    assertThat(delivered).containsExactly(10L);
    begin(slow);
    drain();
    complete(slow);
    drain();
    assertThat(delivered).containsExactly(10L, 0L);
    assertThat(lost).isZero();
  }

  @Test
  void oneThatIsCompletedBetweenTheReadsIsDeliveredOnce() {
    long slow = take();
    begin(slow);
    before.add(() -> {});
    before.add(() -> complete(slow));
    drain();
    drain();
    assertThat(delivered).containsExactly(0L);
    assertThat(lost).isZero();
  }

  @Test
  void oneThatIsOverwrittenBetweenTheReadsIsLostAndTheNewOneIsDeliveredLater() {
    for (int reads = 1; reads < 3; reads++) {
      delivered.clear();
      lost = 0;
      for (int i = 0; i < RECORDS; i++) {
        write();
      }
      drain();
      for (int i = 0; i < reads; i++) {
        before.add(() -> {});
      }
      write();
      long old = delivered.get(RECORDS - 1) / 10 + 1;
      // Of the same slot, a lap later.
      before.add(
          () -> {
            take();
            take();
            take();
            begin(take());
          });
      drain();
      assertThat(delivered).hasSize(RECORDS);
      assertThat(lost).isEqualTo(1);
      complete(old + RECORDS);
      for (long ticket = old + 1; ticket < old + RECORDS; ticket++) {
        begin(ticket);
        complete(ticket);
      }
      drain();
      assertThat(delivered).hasSize(2 * RECORDS).doesNotContain(old * 10);
      assertThat(lost).isEqualTo(1);
    }
  }

  @Test
  void oneThatFoundItsSlotTakenIsLostAsSoonAsAllOfThatSlotAreDoneWith() {
    long slow = take();
    begin(slow);
    for (int i = 1; i < RECORDS; i++) {
      write();
    }
    refuse(take());
    drain();
    assertThat(delivered).containsExactly(10L, 20L, 30L);
    // Ticket 0 is of the lap before: whatever it brings, nobody takes it.
    assertThat(lost).isEqualTo(1);
    complete(slow);
    drain();
    assertThat(delivered).hasSize(3);
    assertThat(lost).isEqualTo(2);
    assertThat(delivered.size() + lost).isEqualTo(counted);
  }

  @Test
  void whatWasNotTakenFromMemoryThatIsGivenAwayIsLost() {
    write();
    drain();
    write();
    write();
    drain(false);
    drain(false);
    assertThat(delivered).containsExactly(0L);
    assertThat(lost).isEqualTo(2);
  }
}
