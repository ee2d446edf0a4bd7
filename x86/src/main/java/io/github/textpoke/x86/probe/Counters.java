package io.github.textpoke.x86.probe;

import io.github.textpoke.apply.TargetProcess;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads a {@link CounterTable} out of a process. */
final class Counters {
  private Counters() {}

  /** How often each function was called: the sums of all rows. */
  static long[] read(TargetProcess process, CounterTable table, long address) {
    long[] sums = new long[table.functions()];
    ByteBuffer entries = read(process, address, table.threads() * CounterTable.ENTRY);
    for (int thread = 0; thread < table.threads(); thread++) {
      if (entries.getLong(thread * CounterTable.ENTRY + CounterTable.KEY) != 0) {
        add(process, table, address + table.row(thread), sums);
      }
    }
    add(process, table, address + table.row(table.threads()), sums);
    return sums;
  }

  private static void add(TargetProcess process, CounterTable table, long row, long[] sums) {
    ByteBuffer counts = read(process, row, table.functions() * Long.BYTES);
    for (int i = 0; i < sums.length; i++) {
      sums[i] += counts.getLong(i * Long.BYTES);
    }
  }

  private static ByteBuffer read(TargetProcess process, long address, int length) {
    return ByteBuffer.wrap(process.read(address, length).toByteArray())
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
