package io.github.textpoke.apply;

import io.github.textpoke.process.BlockedCall;
import io.github.textpoke.process.ProcStatus;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Which thread to borrow. Preferred is one that runs; else one in a call that restarts, so that the
 * program notices nothing.
 */
final class Candidates {
  /** How many threads are looked at for one that runs, where one that waits would do. */
  private static final int LOOKS_FOR_A_RUNNING_ONE = 32;

  /** Threads that were stopped and turned out unfit, so that each is stopped once. */
  private final Set<Integer> unfit = new HashSet<>();

  /** It turned out unfit. */
  void markUnfit(int tid) {
    unfit.add(tid);
  }

  /** Those that were unfit may be fit by now. */
  void forgetUnfit() {
    unfit.clear();
  }

  /** The thread that notices least, 0 where there is none. */
  int choose(int[] threads) {
    int best = 0;
    int bestRank = Integer.MAX_VALUE;
    for (int i = 0; i < threads.length && bestRank > 0; i++) {
      int tid = threads[i];
      if (unfit.contains(tid)) {
        continue;
      }
      if (i > LOOKS_FOR_A_RUNNING_ONE && bestRank == 1) {
        return best;
      }
      int rank = rank(tid);
      if (rank < bestRank) {
        best = tid;
        bestRank = rank;
      }
    }
    return best;
  }

  private static int rank(int tid) {
    BlockedCall where = BlockedCall.read(tid);
    if (where == null) {
      return Integer.MAX_VALUE;
    }
    if (where.running() || where.number() < 0) {
      ProcStatus status = ProcStatus.read(tid);
      return status == null || status.isDead() ? Integer.MAX_VALUE : 0;
    }
    return switch (where.restart(tid)) {
      case TRANSPARENT -> 1;
      case REPAIRED -> 2;
      case LENGTHENED -> 3;
      case NEVER -> Integer.MAX_VALUE;
    };
  }

  /** Why none can be borrowed: one line per thread. */
  static List<String> reasons(int[] threads) {
    List<String> reasons = new ArrayList<>();
    for (int tid : threads) {
      BlockedCall where = BlockedCall.read(tid);
      reasons.add("thread " + tid + " is " + (where == null ? "gone" : where.describe()));
    }
    return reasons;
  }
}
