package io.github.textpoke.ledger;

import io.github.textpoke.ledger.NoteBytes.BadNoteException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What was read of a segment last: as long as its bytes are the same, nothing is looked at again;
 * else, only notes that have changed. Not thread-safe.
 */
final class ReadSegment {
  private final LedgerSegment segment;

  /** As they were read last, if {@link #scan} is there. */
  private byte[] bytes = new byte[0];

  /** For the next bytes. */
  private byte[] spare = new byte[0];

  private @Nullable SegmentScan scan;

  /** Those that the segment held when it was read last, by the checksums of their records. */
  private Map<Integer, Known> notes = new HashMap<>();

  private Map<Integer, Known> now = new HashMap<>();

  /** A note that is {@code bytes[from..to)}, which nobody changes. */
  private static final class Known {
    private final byte[] bytes;
    private final int from;
    private final int to;
    private final NoteBytes.Read read;

    Known(byte[] bytes, int from, int to, NoteBytes.Read read) {
      this.bytes = bytes;
      this.from = from;
      this.to = to;
      this.read = read;
    }

    boolean is(byte[] others, int othersFrom, int othersTo) {
      return Arrays.equals(bytes, from, to, others, othersFrom, othersTo);
    }
  }

  ReadSegment(LedgerSegment segment) {
    this.segment = segment;
  }

  /** Reads it anew. */
  SegmentScan scan(LedgerMemory memory) {
    SegmentScan before = scan;
    scan = null;
    if (!SegmentScan.hasSize(segment)) {
      return SegmentScan.damaged(
          segment,
          "a segment of " + Long.toUnsignedString(segment.end() - segment.start()) + " bytes");
    }
    int size = (int) (segment.end() - segment.start());
    if (spare.length != size) {
      spare = new byte[size];
    }
    if (!memory.read(segment.start(), spare)) {
      return SegmentScan.damaged(segment, "the segment can't be read");
    }
    if (before == null || !Arrays.equals(spare, bytes)) {
      byte[] read = spare;
      spare = bytes;
      bytes = read;
      before = SegmentScan.of(segment, bytes, this);
      notes = now;
      now = new HashMap<>();
    }
    scan = before;
    return before;
  }

  /**
   * Understands the note {@code of[from..to)}.
   *
   * @param crc of its record: what was read of another one with the same is compared byte by byte
   */
  NoteBytes.Read note(byte[] of, int from, int to, int crc) throws BadNoteException {
    Known known = notes.get(crc);
    if (known == null || !known.is(of, from, to)) {
      byte[] note = Arrays.copyOfRange(of, from, to);
      NoteBytes.Read read = NoteBytes.read(ByteBuffer.wrap(note).order(ByteOrder.LITTLE_ENDIAN));
      known = new Known(note, 0, note.length, read);
    }
    now.put(crc, known);
    return known.read;
  }

  /**
   * A note that was written just now: {@code of[from..to)}, in a record with that checksum. The
   * bytes are kept.
   */
  void wrote(byte[] of, int from, int to, int crc, long id, PatchNote note) {
    notes.put(crc, new Known(of, from, to, new NoteBytes.Read(id, note)));
  }
}
