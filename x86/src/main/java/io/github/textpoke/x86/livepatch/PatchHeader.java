package io.github.textpoke.x86.livepatch;

import com.google.common.base.Suppliers;
import com.google.common.collect.ImmutableList;
import com.google.common.hash.Hashing;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.UnwritableMappingException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.apply.Turn;
import io.github.textpoke.process.Mapping;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/**
 * The first pages of a live patch in a process: its turn, its state, and the notes on it. The
 * program can write there, as everywhere in its memory; the notes have a checksum.
 *
 * <pre>
 *   0:   magic, eight letters
 *   8:   state, 4 bytes
 *   16:  number of the patch that leads to its gates, in the ledger; 0: none does. 8 bytes
 *   24:  length of the notes in bytes, 4 bytes
 *   28:  their CRC32C, 4 bytes
 *   64:  turn, 4 bytes, on a cache line of its own
 *   128: the notes, JSON in UTF-8
 * </pre>
 */
final class PatchHeader {
  /** Of the mapping's name, behind which the number stands. */
  private static final String NAME = "live-patch-";

  private static final Pattern MAPPINGS = Pattern.compile(Pattern.quote(NAME) + "[0-9]+");
  private static final long MAGIC = 0x31_70_65_76_69_6c_70_74L;
  private static final int STATE = 8;
  private static final int PATCH = 16;
  private static final int LENGTH = 24;
  private static final int TURN = 64;
  private static final int NOTES = 128;
  private static final int PAGE = 4096;

  /** Letters of the notes on one function, at most, but for its name. */
  private static final int FUNCTION_TEXT = 180;

  private static final int MORE_TEXT = 2048;

  private final ObjectMemory memory;
  private final long address;
  private final ReadNotes read;
  private final Supplier<Long> capacity;

  /**
   * @param read what was read of headers of this process before
   */
  PatchHeader(ObjectMemory memory, long address, ReadNotes read) {
    this.memory = memory;
    this.address = address;
    this.read = read;
    this.capacity = Suppliers.memoize(() -> capacity(memory, address));
  }

  private PatchHeader(ObjectMemory memory, Mapping mapping, ReadNotes read) {
    this.memory = memory;
    this.address = mapping.start();
    this.read = read;
    this.capacity = () -> capacity(mapping);
  }

  /** The name of a live patch's mappings. */
  static String name(long id) {
    return NAME + id;
  }

  /** Those of all live patches in a process. */
  static ImmutableList<PatchHeader> all(ObjectMemory memory, ReadNotes read) {
    return memory.mapped(MAPPINGS).stream()
        .filter(Mapping::writable)
        .map(mapping -> new PatchHeader(memory, mapping, read))
        .filter(PatchHeader::isOne)
        .collect(ImmutableList.toImmutableList());
  }

  private boolean isOne() {
    return read(0, Long.BYTES).getLong() == MAGIC;
  }

  /**
   * How many bytes it takes for a patch, whole pages, with room for notes that grow.
   *
   * @param functions how many are led through gates
   */
  static long size(LivePatch patch, int functions) {
    long notes = 2L * patch.toJson().length() + (long) functions * FUNCTION_TEXT + MORE_TEXT;
    return (NOTES + 2 * notes + PAGE - 1) & -PAGE;
  }

  private static byte[] bytes(PatchNotes notes) {
    return NotesJson.write(notes).getBytes(StandardCharsets.UTF_8);
  }

  /** What stands there first, but for the magic: {@link #publish} writes that. */
  static CodeBytes initial(PatchNotes notes) {
    byte[] text = bytes(notes);
    ByteBuffer bytes = ByteBuffer.allocate(NOTES + text.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putInt(STATE, PatchState.REGISTERED.code());
    bytes.putInt(TURN, Turn.OLD);
    bytes.putInt(LENGTH, text.length);
    bytes.putInt(LENGTH + Integer.BYTES, Hashing.crc32c().hashBytes(text).asInt());
    bytes.put(NOTES, text);
    return CodeBytes.of(bytes.array());
  }

  /** From now on others find it. */
  void publish() {
    write(0, ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(MAGIC));
  }

  /** The absolute address of the turn. */
  long turn() {
    return turn(address);
  }

  /** That of a header at an absolute address. */
  static long turn(long header) {
    return header + TURN;
  }

  int turnValue() {
    return read(TURN, Integer.BYTES).getInt();
  }

  void setTurn(int value) {
    writeInt(TURN, value);
  }

  long address() {
    return address;
  }

  /** Empty where it is mapped no more, or somebody has written over it. */
  Optional<PatchState> state() {
    try {
      return PatchState.of(read(STATE, Integer.BYTES).getInt());
    } catch (UnwritableMappingException unloaded) {
      return Optional.empty();
    }
  }

  void setState(PatchState state) {
    writeInt(STATE, state.code());
  }

  /** Number of the patch in the ledger that leads to its gates; 0: none does. */
  long patch() {
    return read(PATCH, Long.BYTES).getLong();
  }

  void setPatch(long id) {
    write(PATCH, ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(id));
  }

  /**
   * The notes; empty where the program, or somebody else, has written over them.
   *
   * @throws PatchException if they can't be read
   */
  Optional<PatchNotes> notes() {
    ByteBuffer length = read(LENGTH, Long.BYTES);
    int size = length.getInt();
    int sum = length.getInt();
    if (size <= 0 || size > capacity.get()) {
      return Optional.empty();
    }
    CodeBytes text = memory.read(address + NOTES, size);
    return Hashing.crc32c().hashBytes(text.toByteArray()).asInt() == sum
        ? Optional.of(read.read(address, text))
        : Optional.empty();
  }

  private static long capacity(Mapping header) {
    return header.length() - NOTES;
  }

  private static long capacity(ObjectMemory memory, long address) {
    return memory.mapped(MAPPINGS).stream()
        .filter(mapping -> mapping.start() == address)
        .mapToLong(PatchHeader::capacity)
        .findFirst()
        .orElse(0);
  }

  /** Whether there is room for these notes. */
  boolean fits(PatchNotes notes) {
    return bytes(notes).length <= capacity.get();
  }

  void setNotes(PatchNotes notes) {
    byte[] text = bytes(notes);
    memory.store(address + NOTES, CodeBytes.of(text));
    write(
        LENGTH,
        ByteBuffer.allocate(Long.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putInt(text.length)
            .putInt(Hashing.crc32c().hashBytes(text).asInt()));
  }

  private ByteBuffer read(int offset, int length) {
    return ByteBuffer.wrap(memory.read(address + offset, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  private void writeInt(int offset, int value) {
    write(offset, ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(value));
  }

  private void write(int offset, ByteBuffer bytes) {
    memory.store(address + offset, CodeBytes.of(bytes.array()));
  }
}
