package io.github.textpoke.ledger;

import io.github.textpoke.plan.PatchPlan;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * The pokes of plans as bytes: a plan of thousands that comes again and again is not encoded each
 * time. Few are kept, and only those that are the same object. Not thread-safe.
 */
final class EncodedPlans {
  private static final int MOST = 8;

  /** The one that was used last comes last. */
  private final List<Encoded> used = new ArrayList<>();

  private static final class Encoded {
    private final PatchPlan plan;
    private final byte[] bytes;

    Encoded(PatchPlan plan) {
      this.plan = plan;
      this.bytes = NoteBytes.pokes(plan);
    }
  }

  /** How many bytes the pokes take. */
  int length(PatchPlan plan) {
    return encoded(plan).bytes.length;
  }

  /** Appends the pokes. */
  void put(ByteBuffer to, PatchPlan plan) {
    to.put(encoded(plan).bytes);
  }

  private Encoded encoded(PatchPlan plan) {
    for (int i = used.size() - 1; i >= 0; i--) {
      Encoded known = used.get(i);
      if (known.plan == plan) {
        used.remove(i);
        used.add(known);
        return known;
      }
    }
    Encoded made = new Encoded(plan);
    used.add(made);
    if (used.size() > MOST) {
      used.remove(0);
    }
    return made;
  }
}
