package io.github.textpoke.apply;

import io.github.textpoke.PatchException.EvacuationTimeoutException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.time.Duration;

/**
 * A thread that was not out of a site in time, and what holds it.
 *
 * @param tid its id
 * @param thread it in words
 * @param reason an address, and where that was found
 */
record Straggler(int tid, String thread, String reason) {
  /**
   * Looks at it from outside.
   *
   * @param inside the boundaries that were evacuated
   * @param boundary the one that a word on its stack leads to; 0: none does
   * @param word absolute address of that word
   */
  static Straggler of(int tid, Addresses inside, long boundary, long word) {
    BlockedCall where = BlockedCall.read(tid);
    String state = where == null ? "not to be looked at" : where.describe();
    long standing = where == null ? 0 : where.instructionPointer();
    String reason =
        boundary != 0
            ? "its stack leads back to 0x%x: that address is saved at 0x%x"
                .formatted(boundary, word)
            : inside.get(standing) != 0
                ? "it stands at 0x%x and does not stop".formatted(standing)
                : "it does not stop, so nobody knows where it stands";
    return new Straggler(tid, tid + " (" + ProcStatus.name(tid) + "), " + state, reason);
  }

  /**
   * What is thrown.
   *
   * @param site absolute address of the site, or of the first one of several
   * @param others how many other threads stay inside
   */
  EvacuationTimeoutException failure(long site, int others, Duration patience, Outcome outcome) {
    return new EvacuationTimeoutException(site, tid, thread, reason, others, patience, outcome);
  }
}
