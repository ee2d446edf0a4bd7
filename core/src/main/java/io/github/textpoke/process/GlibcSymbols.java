package io.github.textpoke.process;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.UnsupportedTargetException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * What glibc says of itself, to debuggers among others: the symbols of its C library and of its
 * loader, and the descriptors {@code _thread_db_*} of fields that only it knows
 * (nptl_db/structs.def, DB_STRUCT_FIELD: bits, count, offset, 32 bits each). It reads the target's
 * memory, so what it tells is of the library that is mapped. Not thread-safe.
 */
final class GlibcSymbols {
  static final String LIBC = "libc.so.6";
  static final String LOADER = "ld-linux-x86-64.so.2";

  private static final String DESCRIPTOR = "_thread_db_";
  private static final int OFFSET_IN_DESCRIPTOR = 8;

  /** No struct of glibc's is longer: what claims to be is no descriptor. */
  private static final int LONGEST = 1 << 20;

  private final int pid;
  private final GlibcNames names;
  private final MemoryReader memory;

  GlibcSymbols(int pid, GlibcNames names, MemoryReader memory) {
    this.pid = pid;
    this.names = names;
    this.memory = memory;
  }

  /** That no thread can be made in the target, and why. */
  UnsupportedTargetException refused(String reason) {
    return refused(pid, reason);
  }

  static UnsupportedTargetException refused(int pid, String reason) {
    return new UnsupportedTargetException(
        "no thread of ours can call functions of process " + pid + ": " + reason,
        "programs that are linked dynamically with glibc 2.34 or later have what it takes");
  }

  /** The absolute address of a symbol of libc. */
  long inLibc(String symbol) {
    return only(names.ofLibc(symbol), LIBC, symbol).start();
  }

  /** As {@link #inLibc}; empty where there is none. */
  Optional<Long> ofLibc(String symbol) {
    return names.ofLibc(symbol).map(GlibcNames.Named::start);
  }

  /** How many bytes a symbol of libc has. */
  long sizeInLibc(String symbol) {
    return only(names.ofLibc(symbol), LIBC, symbol).size();
  }

  /** The absolute address of a symbol of the loader. */
  long inLoader(String symbol) {
    return only(names.ofLoader(symbol), LOADER, symbol).start();
  }

  /** As {@link #inLoader}; empty where there is none. */
  Optional<Long> ofLoader(String symbol) {
    return names.ofLoader(symbol).map(GlibcNames.Named::start);
  }

  private GlibcNames.Named only(Optional<GlibcNames.Named> found, String object, String symbol) {
    return found.orElseThrow(() -> refused(object + " has no symbol " + symbol));
  }

  /** Where a field lies in its struct: {@code pthread_tid}. */
  int offset(String field) {
    return bounded(field, read(inLibc(DESCRIPTOR + field) + OFFSET_IN_DESCRIPTOR));
  }

  /** How long a struct is: {@code pthread}. */
  int size(String struct) {
    return bounded(struct, read(inLibc(DESCRIPTOR + "sizeof_" + struct)));
  }

  private int bounded(String what, int value) {
    if (value < 0 || value > LONGEST) {
      throw refused("libc says %d of %s%s".formatted(value, DESCRIPTOR, what));
    }
    return value;
  }

  private int read(long address) {
    return buffer(address, Integer.BYTES).getInt();
  }

  /** Eight bytes of the target, at an absolute address. */
  long word(long address) {
    return buffer(address, Long.BYTES).getLong();
  }

  CodeBytes bytes(long address, int length) {
    return memory.read(address, length);
  }

  private ByteBuffer buffer(long address, int length) {
    return ByteBuffer.wrap(memory.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
