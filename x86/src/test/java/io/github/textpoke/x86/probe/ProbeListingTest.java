package io.github.textpoke.x86.probe;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.x86.decode.RequiresZydis;
import io.github.textpoke.x86.target.Listings;
import java.io.IOException;
import java.util.HexFormat;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/**
 * What probes run in the target, as people read it, is a file for each body: see {@link Listings}.
 * What a function goes on with is a ret.
 */
@RequiresZydis
final class ProbeListingTest {
  private static final long CODE = 0x10_0000;
  private static final long DATA = 0x20_0000;
  private static final int FUNCTION = 3;
  private static final int FUNCTIONS = 8;
  private static final int THREADS = 128;
  private static final int THREAD_ID = 0x2d0;
  private static final CodeBytes RETURN = CodeBytes.ofHex("c3");

  /** How both shared routines end: pop rsi; pop rdx; ret. */
  private static final String END = "5e5ac3";

  /** With numbers that no instruction can hold, too. */
  private static final CallCondition CONDITION =
      Argument.of(1)
          .as(IntegerType.INT32)
          .isLessThan(-2)
          .and(Argument.of(4).masked(0x1_0000_0000L).isEqualTo(0x1_0000_0000L))
          .and(Argument.of(2).as(IntegerType.UINT8).isGreaterThan(7));

  private static final ProbeAction.Capture CAPTURE =
      ProbeAction.capture(Argument.of(1), Argument.of(4), Argument.of(6));

  private static void compare(String name, CodeBytes code) throws IOException {
    Listings.compare(ProbeListingTest.class, name, code, ImmutableMap.of());
  }

  private static CodeBytes from(CodeBytes code, int offset) {
    return code.slice(offset, code.length());
  }

  /** The index-th shared routine, which stands behind constants of so many bytes. */
  private static CodeBytes routine(CodeBytes code, int index, int constants) {
    String digits = HexFormat.of().formatHex(code.toByteArray());
    int start = 0;
    int end = 0;
    for (int i = 0; i <= index; i++) {
      start = i == 0 ? 0 : end + constants;
      end = digits.indexOf(END, start * 2) / 2 + END.length() / 2;
      assertThat(end).isGreaterThan(start);
    }
    return code.slice(start, end);
  }

  private static ProbeWriter counting(CallCondition condition, ThreadKey key, boolean isShared) {
    return new ProbeWriter(
        CODE, DATA, new CounterTable(FUNCTIONS, THREADS), condition, key, isShared);
  }

  private static LatencyWriter timing(CallCondition condition) {
    return new LatencyWriter(
        CODE, DATA, new LatencyTable(FUNCTIONS, THREADS), condition, ThreadKey.POINTER);
  }

  private static CaptureWriter capturing(ProbeAction.Capture action) {
    return new CaptureWriter(
        CODE,
        DATA,
        new CaptureTable(FUNCTIONS, THREADS, action.records(), action.isAtExits()),
        action,
        ThreadKey.POINTER,
        OptionalInt.of(THREAD_ID));
  }

  private static CodeBytes entry(EndsWriter writer, int head) {
    writer.entry(FUNCTION, at -> RETURN);
    return from(writer.bytes(), head);
  }

  @Test
  void theSearchOfAThreadsRowIsThatOfTheListing() throws IOException {
    ProbeWriter writer = counting(CallCondition.ALWAYS, ThreadKey.POINTER, false);
    compare("row_search.txt", routine(writer.bytes(), 0, 0));
  }

  @Test
  void theTakingOfAHistogramIsThatOfTheListing() throws IOException {
    compare("histogram.txt", routine(timing(CallCondition.ALWAYS).bytes(), 1, 3 * Long.BYTES));
  }

  @Test
  void aSlotThatCountsIsThatOfTheListing() throws IOException {
    ProbeWriter writer = counting(CallCondition.ALWAYS, ThreadKey.POINTER, false);
    writer.slot(FUNCTION, false, at -> RETURN);
    compare("count_slot.txt", from(writer.bytes(), ProbeWriter.HEAD));
  }

  @Test
  void aSlotThatCountsForForkedChildrenOnAConditionIsThatOfTheListing() throws IOException {
    ProbeWriter writer = counting(CONDITION, ThreadKey.BASE, true);
    writer.slot(FUNCTION, false, at -> RETURN);
    compare("count_slot_shared_when.txt", from(writer.bytes(), ProbeWriter.HEAD));
  }

  @Test
  void aSlotInsideOfAFunctionIsThatOfTheListing() throws IOException {
    ProbeWriter writer = counting(CONDITION, ThreadKey.POINTER, false);
    writer.slot(FUNCTION, true, at -> RETURN);
    compare("count_slot_inside_when.txt", from(writer.bytes(), ProbeWriter.HEAD));
  }

  @Test
  void theEntryOfALatencyProbeIsThatOfTheListing() throws IOException {
    LatencyWriter writer = timing(CallCondition.ALWAYS);
    compare("latency_entry.txt", entry(writer, LatencyWriter.HEAD));
  }

  @Test
  void theEntryOfALatencyProbeWithAConditionIsThatOfTheListing() throws IOException {
    compare("latency_entry_when.txt", entry(timing(CONDITION), LatencyWriter.HEAD));
  }

  @Test
  void theExitOfALatencyProbeIsThatOfTheListing() throws IOException {
    LatencyWriter writer = timing(CallCondition.ALWAYS);
    compare("latency_exit.txt", writer.exit(FUNCTION, true, writer.nextSlot()));
  }

  @Test
  void theEntryOfACaptureIsThatOfTheListing() throws IOException {
    compare("capture_entry.txt", entry(capturing(CAPTURE), CaptureWriter.HEAD));
  }

  @Test
  void theEntryOfACaptureWithReturnsOnAConditionIsThatOfTheListing() throws IOException {
    ProbeAction.Capture action = CAPTURE.withReturned(IntegerType.INT64).when(CONDITION);
    compare("capture_noting_entry_when.txt", entry(capturing(action), CaptureWriter.HEAD));
  }

  @Test
  void theExitOfACaptureIsThatOfTheListing() throws IOException {
    CaptureWriter writer = capturing(CAPTURE.withReturned(IntegerType.INT64));
    compare("capture_exit.txt", writer.exit(FUNCTION, true, writer.nextSlot()));
  }

  @Test
  void aSlotThatCallsTheUsersFunctionIsThatOfTheListing() throws IOException {
    CallWriter writer =
        new CallWriter(
            CODE,
            DATA,
            new CounterTable(FUNCTIONS, THREADS),
            Argument.of(1).isEqualTo(0),
            ThreadKey.POINTER,
            0x7f00_0030_0000L);
    writer.slot(FUNCTION, at -> RETURN);
    compare("call_slot_when.txt", from(writer.bytes(), CallWriter.HEAD));
  }
}
