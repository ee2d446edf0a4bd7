package io.github.textpoke.ledger;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What was read of a ledger last. It is read often, and notes of thousands of sites take long to
 * understand and to write: what has the same bytes still says the same. Not thread-safe.
 */
public final class ReadNotes {
  private final Map<LedgerSegment, ReadSegment> segments = new HashMap<>();
  private final EncodedPlans plans = new EncodedPlans();

  /** The plans that were written last. */
  EncodedPlans plans() {
    return plans;
  }

  /** Reads all segments of the ledger. */
  List<SegmentScan> scan(LedgerMemory memory, List<LedgerSegment> now) {
    segments.keySet().retainAll(now);
    return now.stream().map(segment -> of(segment).scan(memory)).toList();
  }

  /** What was read of one. */
  ReadSegment of(LedgerSegment segment) {
    return segments.computeIfAbsent(segment, ReadSegment::new);
  }
}
