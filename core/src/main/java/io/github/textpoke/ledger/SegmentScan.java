package io.github.textpoke.ledger;

import io.github.textpoke.ledger.NoteBytes.BadNoteException;
import io.github.textpoke.ledger.Progress.State;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One walk over the records of a segment, as they stood when it was read. The bytes may be hostile:
 * each record is at least 16 bytes and lies inside of the segment, so the walk ends.
 */
final class SegmentScan {
  final LedgerSegment segment;
  private final ReadSegment notes;
  final List<LedgerEntry> entries = new ArrayList<>();
  final List<DamagedRecord> damaged = new ArrayList<>();
  final List<Room> rooms = new ArrayList<>();

  /** The highest id given here, as far as it can be told; 0: none. */
  long highestId;

  /** Whether nothing was ever put there: not even a header. */
  boolean isNew;

  private SegmentScan(LedgerSegment segment, ReadSegment notes) {
    this.segment = segment;
    this.notes = notes;
  }

  /**
   * Neighbouring free records, as one space.
   *
   * @param start absolute address of the first one
   * @param end absolute address behind the last one
   * @param records how many they are
   */
  record Room(long start, long end, int records) {
    long length() {
      return end - start;
    }
  }

  /** Whether a segment may have that size. */
  static boolean hasSize(LedgerSegment segment) {
    long size = segment.end() - segment.start();
    return size >= LedgerLayout.RECORDS + LedgerLayout.BODY
        && size <= LedgerLayout.LONGEST_SEGMENT
        && (segment.start() | size) % 8 == 0;
  }

  /** Of a segment of which nothing can be told. */
  static SegmentScan damaged(LedgerSegment segment, String reason) {
    SegmentScan scan = new SegmentScan(segment, new ReadSegment(segment));
    scan.damage(0, reason);
    return scan;
  }

  /**
   * Of a segment with these bytes.
   *
   * @param notes understands them
   */
  static SegmentScan of(LedgerSegment segment, byte[] bytes, ReadSegment notes) {
    SegmentScan scan = new SegmentScan(segment, notes);
    scan.read(bytes);
    return scan;
  }

  private void damage(int offset, String reason) {
    damaged.add(new DamagedRecord(segment.start() + offset, reason));
  }

  private void read(byte[] array) {
    ByteBuffer bytes = ByteBuffer.wrap(array).order(ByteOrder.LITTLE_ENDIAN);
    // The magic is written last.
    isNew = bytes.getLong(LedgerLayout.MAGIC_AT) == 0;
    if (isNew) {
      return;
    }
    String problem = headerProblem(bytes);
    if (problem != null) {
      damage(0, problem);
      return;
    }
    highestId = LedgerLayout.value(bytes.getLong(LedgerLayout.HIGHEST_ID_AT));
    if (highestId < 0) {
      highestId = 0;
      damage(LedgerLayout.HIGHEST_ID_AT, "the highest id is damaged");
    }
    readRecords(bytes);
  }

  private static @Nullable String headerProblem(ByteBuffer bytes) {
    if (bytes.getLong(LedgerLayout.MAGIC_AT) != LedgerLayout.MAGIC) {
      return "the segment does not begin as a ledger does";
    }
    int version = bytes.getInt(LedgerLayout.VERSION_AT);
    if (version != LedgerLayout.VERSION) {
      return "the segment is of version "
          + Integer.toUnsignedString(version)
          + ", and only version "
          + LedgerLayout.VERSION
          + " is known here";
    }
    int crc = LedgerLayout.crc(bytes.array(), 0, LedgerLayout.HEADER_CRC_AT);
    if (bytes.getInt(LedgerLayout.HEADER_CRC_AT) != crc) {
      return "the checksum of the segment's header is wrong";
    }
    int size = bytes.getInt(LedgerLayout.SIZE_AT);
    return size == bytes.capacity()
        ? null
        : "the segment had " + Integer.toUnsignedString(size) + " bytes, now " + bytes.capacity();
  }

  private void readRecords(ByteBuffer bytes) {
    int size = bytes.capacity();
    int firstFree = -1;
    int free = 0;
    int at = LedgerLayout.RECORDS;
    while (at < size) {
      // A record without the room for its progress word has no valid length either.
      long length = LedgerLayout.value(bytes.getLong(at));
      if (length < LedgerLayout.BODY || length > size - at || length % 8 != 0) {
        damage(at, "the length of a record is damaged; what stands behind it can't be found");
        break;
      }
      Progress progress = Progress.of(bytes.getLong(at + LedgerLayout.PROGRESS));
      if (progress != null && progress.state() == State.REVERTED) {
        firstFree = free == 0 ? at : firstFree;
        free++;
      } else {
        endRoom(firstFree, at, free);
        free = 0;
        readRecord(bytes, at, (int) length, progress);
      }
      at += (int) length;
    }
    endRoom(firstFree, at, free);
  }

  private void endRoom(int start, int end, int records) {
    if (records > 0) {
      rooms.add(new Room(segment.start() + start, segment.start() + end, records));
    }
  }

  private void readRecord(ByteBuffer bytes, int at, int length, @Nullable Progress progress) {
    if (progress == null) {
      damage(at, "the progress of a record is damaged");
      return;
    }
    if (length < LedgerLayout.NOTE) {
      damage(at, "a record is too short for a note");
      return;
    }
    int noteLength = bytes.getInt(at + LedgerLayout.NOTE - 4);
    if (noteLength < 0 || noteLength > length - LedgerLayout.NOTE) {
      damage(at, "the note of a record is longer than the record");
      return;
    }
    int end = at + LedgerLayout.NOTE + noteLength;
    int crc = bytes.getInt(at + LedgerLayout.BODY);
    if (crc != LedgerLayout.crc(bytes.array(), at + LedgerLayout.BODY + 4, end)) {
      damage(at, "the checksum of a record is wrong");
      return;
    }
    try {
      NoteBytes.Read read = notes.note(bytes.array(), at + LedgerLayout.NOTE, end, crc);
      long address = segment.start() + at;
      entries.add(new LedgerEntry(address, read.id(), read.note(), progress));
      highestId = Math.max(highestId, read.id());
    } catch (BadNoteException e) {
      damage(at, "the note of a record makes no sense: " + e.getMessage());
    }
  }
}
