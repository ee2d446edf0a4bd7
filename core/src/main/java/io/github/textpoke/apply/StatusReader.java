package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.ledger.LedgerContents;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.Poke;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * Reads a ledger, and the sites of its patches. A patcher may be at work meanwhile: what a record
 * says and what stands at its sites belong together only if the record says the same before and
 * after the sites were read.
 */
final class StatusReader {
  /** How often a patch that changes meanwhile is read anew. */
  private static final int LOOKS = 100;

  /** Bytes that are read at once, at most. */
  private static final int READ = 1 << 16;

  private final TargetLedger ledger;

  StatusReader(TargetLedger ledger) {
    this.ledger = ledger;
  }

  LedgerStatus read() {
    LedgerContents contents = ledger.contents();
    return new LedgerStatus(
        contents.entries().stream()
            .flatMap(entry -> read(entry).stream())
            .collect(ImmutableList.toImmutableList()),
        contents.damaged());
  }

  /** Empty where it was reverted since. */
  private Optional<PatchStatus> read(LedgerEntry first) {
    LedgerEntry entry = first;
    for (int i = 0; ; i++) {
      boolean isSame = saysTheSame(entry);
      PatchStatus status = new PatchStatus(entry, sites(entry));
      isSame &= saysTheSame(entry);
      if (i == LOOKS || (isSame && isSettled(status.state()))) {
        return Optional.of(status);
      }
      Optional<LedgerEntry> now = ledger.contents().find(entry.id());
      if (now.isEmpty() || (isSame && now.get().equals(entry))) {
        return now.map(still -> status);
      }
      entry = now.get();
    }
  }

  private static boolean isSettled(PatchStatus.State state) {
    return state == PatchStatus.State.APPLIED || state == PatchStatus.State.RETIRED;
  }

  private boolean saysTheSame(LedgerEntry entry) {
    CodeBytes word = ledger.read(entry.progressAddress(), Long.BYTES);
    return word != null
        && entry
            .progress()
            .equals(
                Progress.of(
                    ByteBuffer.wrap(word.toByteArray()).order(ByteOrder.LITTLE_ENDIAN).getLong()));
  }

  /** Sites that lie close together are read at once: a thousand reads take their time. */
  private ImmutableList<FoundSite> sites(LedgerEntry entry) {
    ImmutableList<Poke> pokes = entry.plan().pokes();
    ImmutableList.Builder<FoundSite> sites = ImmutableList.builderWithExpectedSize(pokes.size());
    for (int i = 0; i < pokes.size(); ) {
      long start = pokes.get(i).address();
      int end = i + 1;
      while (end < pokes.size() && end(pokes.get(end)) - start <= READ) {
        end++;
      }
      int length = (int) (end(pokes.get(end - 1)) - start);
      CodeBytes code = end - i == 1 ? null : ledger.read(start, length);
      for (; i < end; i++) {
        Poke poke = pokes.get(i);
        int at = (int) (poke.address() - start);
        // Between two sites there may be what can't be read.
        CodeBytes found = code == null ? ledger.found(poke) : code.slice(at, at + poke.length());
        sites.add(FoundSite.of(entry.plan().trapByte(), poke, found));
      }
    }
    return sites.build();
  }

  private static long end(Poke poke) {
    return poke.address() + poke.length();
  }
}
