package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.TargetGoneException;
import io.github.textpoke.ledger.Ledger;
import io.github.textpoke.ledger.LedgerContents;
import io.github.textpoke.ledger.LedgerMemory;
import io.github.textpoke.ledger.LedgerSegment;
import io.github.textpoke.ledger.ReadNotes;
import io.github.textpoke.linux.ProcMem;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.MemoryMap;
import org.jspecify.annotations.Nullable;

/** The ledger of a process, found in its mappings. Of one thread at a time. */
final class TargetLedger implements LedgerMemory, AutoCloseable {
  /** The ledger's name in /proc/PID/maps, behind {@code /memfd:}. */
  static final String NAME = "textpoke-ledger";

  private final int pid;
  private final ReadNotes notes = new ReadNotes();
  private @Nullable ProcMem memory;

  TargetLedger(int pid) {
    this.pid = pid;
  }

  int pid() {
    return pid;
  }

  private ProcMem memory() {
    ProcMem open = memory;
    if (open == null) {
      open = TargetMemory.open(pid);
      memory = open;
    }
    return open;
  }

  /** The segments of a process's ledger; none where nobody has patched it. */
  static ImmutableList<LedgerSegment> segments(int pid) {
    return segments(MemoryMap.read(pid));
  }

  /** As above, in its mappings. */
  static ImmutableList<LedgerSegment> segments(MemoryMap map) {
    return map.mappings().stream()
        .filter(mapping -> mapping.path().equals("/memfd:" + NAME))
        .filter(mapping -> mapping.writable() && !mapping.shared())
        .map(mapping -> new LedgerSegment(mapping.start(), mapping.end()))
        .collect(ImmutableList.toImmutableList());
  }

  /** The ledger as it is mapped now. */
  Ledger ledger() {
    return new Ledger(this, segments(pid), notes);
  }

  /** What it holds now. */
  LedgerContents contents() {
    return ledger().read();
  }

  /** What stands at the site of a poke; nothing where not all of it can be read. */
  CodeBytes found(Poke poke) {
    CodeBytes bytes = read(poke.address(), poke.length());
    return bytes == null ? CodeBytes.EMPTY : bytes;
  }

  @Override
  public @Nullable CodeBytes read(long address, int length) {
    return memory().read(address, length);
  }

  @Override
  public boolean read(long address, byte[] to) {
    return memory().read(address, to);
  }

  @Override
  public void write(long address, CodeBytes bytes) {
    if (store(address, bytes) != bytes.length()) {
      throw new TargetGoneException(pid, "its ledger can't be written");
    }
  }

  /**
   * Writes to memory that the target itself may write.
   *
   * @return the count, or a negated errno; 0 where the memory is gone
   */
  long store(long address, CodeBytes bytes) {
    return memory().write(address, bytes);
  }

  @Override
  public void close() {
    ProcMem open = memory;
    if (open != null) {
      memory = null;
      open.close();
    }
  }
}
