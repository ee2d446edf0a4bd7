package io.github.textpoke.x86.probe;

import io.github.textpoke.process.MemoryReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads a {@link CounterTable} out of a process. */
final class Counters {
  private Counters() {}

  /** How often each function was called: the sums of all rows. */
  static long[] read(MemoryReader memory, CounterTable table, long address) {
    long[] sums = new long[table.functions()];
    ByteBuffer entries = read(memory, address, table.threads() * CounterTable.ENTRY);
    for (int thread = 0; thread < table.threads(); thread++) {
      if (entries.getLong(thread * CounterTable.ENTRY + CounterTable.KEY) != 0) {
        add(memory, table, address + table.row(thread), sums);
      }
    }
    add(memory, table, address + table.row(table.threads()), sums);
    return sums;
  }

  private static void add(MemoryReader memory, CounterTable table, long row, long[] sums) {
    ByteBuffer counts = read(memory, row, table.functions() * Long.BYTES);
    for (int i = 0; i < sums.length; i++) {
      sums[i] += counts.getLong(i * Long.BYTES);
    }
  }

  private static ByteBuffer read(MemoryReader memory, long address, int length) {
    return ByteBuffer.wrap(memory.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
