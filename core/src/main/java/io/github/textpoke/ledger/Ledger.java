package io.github.textpoke.ledger;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Iterables;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.ledger.SegmentScan.Room;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The record, inside of a target, of every patch in it. It lies in segments: mappings whose name in
 * {@code /proc/PID/maps} begins with {@code memfd:textpoke-ledger}.
 *
 * <ol>
 *   <li>Each call reads the target's bytes anew.
 *   <li>Who writes must keep others from it; that is the caller's part, there is no lock.
 *   <li>A patcher may be killed between any two writes, and in the middle of one: every patch
 *       recorded before is still there, and the new one is there wholly or not at all.
 *   <li>What is damaged is reported and left as it is.
 * </ol>
 */
public final class Ledger {
  /** A new segment is not shorter: room for a hundred patches of one site or more. */
  private static final int SHORTEST_SEGMENT = 1 << 16;

  private final LedgerMemory memory;
  private final ImmutableList<LedgerSegment> segments;
  private final ReadNotes notes;

  /**
   * @param memory that of the target
   * @param segments in any order
   */
  public Ledger(LedgerMemory memory, Iterable<LedgerSegment> segments) {
    this(memory, segments, new ReadNotes());
  }

  /**
   * @param memory that of the target
   * @param segments in any order
   * @param notes what ledgers of this target have read before
   */
  public Ledger(LedgerMemory memory, Iterable<LedgerSegment> segments, ReadNotes notes) {
    this.memory = memory;
    this.segments = ImmutableList.copyOf(segments);
    this.notes = notes;
  }

  /** What the ledger holds now. Throws nothing that the memory does not throw. */
  public LedgerContents read() {
    List<LedgerEntry> entries = new ArrayList<>();
    ImmutableList.Builder<DamagedRecord> damaged = ImmutableList.builder();
    Set<Long> ids = new HashSet<>();
    for (SegmentScan scan : scan()) {
      damaged.addAll(scan.damaged);
      for (LedgerEntry entry : scan.entries) {
        if (ids.add(entry.id())) {
          entries.add(entry);
        } else {
          damaged.add(
              new DamagedRecord(
                  entry.address(), "another record has the id " + entry.id() + " too"));
        }
      }
    }
    entries.sort(Comparator.comparingLong(LedgerEntry::id));
    return new LedgerContents(ImmutableList.copyOf(entries), damaged.build());
  }

  /**
   * Records a patch that is about to be applied: with the next id, as {@link State#APPLYING}, no
   * step done.
   *
   * @return what was recorded; empty, with nothing written, if no segment has room: then map one of
   *     {@link #segmentSize} bytes
   * @throws IllegalStateException if no id is left, after 2^48
   */
  public Optional<LedgerEntry> add(PatchNote note) {
    List<SegmentScan> scans = scan();
    long highest = scans.stream().mapToLong(scan -> scan.highestId).max().orElse(0);
    checkState(highest < LedgerLayout.GREATEST_VALUE, "the ledger has given its last id");
    long length = recordLength(NoteBytes.length(note, notes.plans()));
    for (SegmentScan scan : scans) {
      if (scan.isNew && LedgerLayout.RECORDS + length <= size(scan.segment)) {
        Room room = format(scan.segment);
        return Optional.of(add(scan.segment, room, (int) length, highest + 1, note));
      }
      for (Room room : scan.rooms) {
        if (length <= room.length()) {
          return Optional.of(add(scan.segment, room, (int) length, highest + 1, note));
        }
      }
    }
    return Optional.empty();
  }

  /**
   * How many bytes a new segment must have so that {@code note} finds room in it. Round it up to
   * whole pages.
   *
   * @throws IllegalArgumentException if no segment is long enough for it: it has some ten thousand
   *     sites
   */
  public static int segmentSize(PatchNote note) {
    long size = LedgerLayout.RECORDS + recordLength(NoteBytes.length(note));
    checkArgument(size <= LedgerLayout.LONGEST_SEGMENT, "a record of %s bytes is too long", size);
    return Math.max(SHORTEST_SEGMENT, (int) size);
  }

  /**
   * How many bytes a new segment must have so that all of {@code coming} find room at the same
   * time, with what is free now; where that would be longer than a segment may be, most of them.
   *
   * @return 0: they find room in what there is
   * @throws IllegalArgumentException as {@link #segmentSize}
   */
  public int missingRoom(List<PatchNote> coming) {
    List<Long> rooms = new ArrayList<>();
    for (SegmentScan scan : scan()) {
      scan.rooms.forEach(room -> rooms.add(room.length()));
      if (scan.isNew) {
        rooms.add(size(scan.segment) - LedgerLayout.RECORDS);
      }
    }
    long missing = 0;
    int least = 0;
    for (PatchNote note : coming) {
      long length = recordLength(NoteBytes.length(note, notes.plans()));
      int fitting = Iterables.indexOf(rooms, room -> room >= length);
      if (fitting >= 0) {
        rooms.set(fitting, rooms.get(fitting) - length);
      } else {
        missing += length;
        least = Math.max(least, segmentSize(note));
      }
    }
    return missing == 0
        ? 0
        : Math.max(
            least, (int) Math.min(missing + LedgerLayout.RECORDS, LedgerLayout.LONGEST_SEGMENT));
  }

  /**
   * Records how far a patch is, by one store. {@link State#REVERTED} gives the record's space back.
   */
  public void progress(LedgerEntry entry, Progress progress) {
    writeWord(entry.progressAddress(), progress.word());
  }

  private List<SegmentScan> scan() {
    return notes.scan(memory, segments);
  }

  private static long size(LedgerSegment segment) {
    return segment.end() - segment.start();
  }

  private static long recordLength(long note) {
    return roundUp(LedgerLayout.NOTE + note);
  }

  private static long roundUp(long length) {
    return length + 7 & -8;
  }

  /** Makes a new segment one free record. The magic comes last: until then it is still new. */
  private Room format(LedgerSegment segment) {
    int size = (int) size(segment);
    ByteBuffer header = LedgerLayout.littleEndian(LedgerLayout.RECORDS + LedgerLayout.BODY);
    header.putLong(LedgerLayout.MAGIC).putInt(LedgerLayout.VERSION).putInt(size);
    header.putInt(LedgerLayout.crc(header.array(), 0, LedgerLayout.HEADER_CRC_AT));
    header.putLong(LedgerLayout.HIGHEST_ID_AT, LedgerLayout.checked(0));
    header.position(LedgerLayout.RECORDS);
    putFree(header, size - LedgerLayout.RECORDS);
    byte[] bytes = header.array();
    memory.write(
        segment.start() + LedgerLayout.VERSION_AT,
        CodeBytes.copyOf(bytes, LedgerLayout.VERSION_AT, bytes.length));
    writeWord(segment.start() + LedgerLayout.MAGIC_AT, LedgerLayout.MAGIC);
    return new Room(segment.start() + LedgerLayout.RECORDS, segment.end(), 1);
  }

  private static void putFree(ByteBuffer to, long length) {
    to.putLong(LedgerLayout.checked(length)).putLong(new Progress(State.REVERTED, 0).word());
  }

  /** After each write the segment is a row of whole records, and those in use are as before. */
  private LedgerEntry add(LedgerSegment segment, Room room, int needed, long id, PatchNote note) {
    long rest = room.length() - needed;
    // What is too short for a record of its own stays with this one.
    long length = rest < LedgerLayout.BODY ? room.length() : needed;
    // 1. The id is given, even if its patch never comes.
    writeWord(segment.start() + LedgerLayout.HIGHEST_ID_AT, LedgerLayout.checked(id));
    // 2. The free records become one.
    if (room.records() > 1) {
      writeWord(room.start(), LedgerLayout.checked(room.length()));
    }
    // 3. In its body, which means nothing yet, the note, and behind that a free record.
    memory.write(
        room.start() + LedgerLayout.BODY, body(segment, needed, id, note, room.length() - length));
    // 4. The free record is shortened, and the one behind it comes to light.
    if (length < room.length()) {
      writeWord(room.start(), LedgerLayout.checked(length));
    }
    // 5. The free record is in use.
    Progress progress = new Progress(State.APPLYING, 0);
    writeWord(room.start() + LedgerLayout.PROGRESS, progress.word());
    return new LedgerEntry(room.start(), id, note, progress);
  }

  /**
   * @param rest length of the free record behind this one; 0: none
   */
  private CodeBytes body(LedgerSegment segment, int needed, long id, PatchNote note, long rest) {
    int end = needed - LedgerLayout.BODY;
    ByteBuffer body = LedgerLayout.littleEndian(rest == 0 ? end : end + LedgerLayout.BODY);
    int noteAt = LedgerLayout.NOTE - LedgerLayout.BODY;
    body.position(noteAt);
    NoteBytes.write(body, id, note, notes.plans());
    int noteEnd = body.position();
    body.putInt(noteAt - 4, noteEnd - noteAt);
    int crc = LedgerLayout.crc(body.array(), 4, noteEnd);
    body.putInt(0, crc);
    notes.of(segment).wrote(body.array(), noteAt, noteEnd, crc, id, note);
    if (rest != 0) {
      body.position(end);
      putFree(body, rest);
    }
    return CodeBytes.of(body.array());
  }

  private void writeWord(long address, long word) {
    memory.write(address, CodeBytes.of(LedgerLayout.littleEndian(8).putLong(word).array()));
  }
}
