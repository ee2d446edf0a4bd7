package io.github.textpoke.verify;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.plan.Poke;

/**
 * One site while a plan is carried out: the bytes that cores may see, and where threads may stand.
 * Mutable, for one thread.
 *
 * <p>Inside of several instructions a thread may stand from the start, if they are the old code,
 * and from the moment when a core may run the first of them; until an evacuation, if that is one:
 * see {@link io.github.textpoke.plan.Step.Evacuate}. It is all or nothing: who may stand on one
 * boundary inside may stand on each.
 */
final class SiteView {
  private final int trapByte;
  private final Poke poke;
  private final VisibleBytes visible;
  private final ImmutableList<Stand> first;
  private final ImmutableList<Stand> all;
  private boolean occupied;

  SiteView(int trapByte, Poke poke) {
    this.trapByte = trapByte;
    this.poke = poke;
    this.visible = new VisibleBytes(poke.site().bytes());
    this.first = ImmutableList.of(Stand.first(poke));
    this.all = ImmutableList.<Stand>builder().addAll(first).addAll(Stand.inside(poke)).build();
    this.occupied = poke.displaces();
  }

  Poke poke() {
    return poke;
  }

  VisibleBytes visible() {
    return visible;
  }

  /** Where a thread may stand now. */
  ImmutableList<Stand> stands() {
    return occupied ? all : first;
  }

  /** Step {@code step} writes {@code values} from {@code offset} on. */
  void write(int offset, CodeBytes values, int step) {
    visible.write(offset, values, step);
  }

  /** Whether a core may run the first of several instructions. */
  boolean mayBeEntered() {
    if (poke.interior().isEmpty()) {
      return false;
    }
    int length = poke.displaces() ? poke.firstOldLength() : poke.firstNewLength();
    return visible.mayShow(0, poke.displacedBytes().slice(0, length));
  }

  /** Whether a thread may stand inside. */
  boolean isOccupied() {
    return occupied;
  }

  /** A thread may have come inside. */
  void occupy() {
    occupied = true;
  }

  /** Whether who comes here, or stands inside, goes no further: all meet a breakpoint. */
  boolean isClosed() {
    return !occupied || all.stream().allMatch(stand -> visible.showsOnly(stand.offset(), trapByte));
  }

  /** Every core forgets what it fetched. */
  void sync() {
    visible.sync();
  }

  /**
   * Nobody stands inside afterwards, if everybody there and at the entry meets a breakpoint, and
   * nobody can come over from another site.
   *
   * @param othersAreClosed whether all that are like this one {@linkplain #isClosed are closed}
   */
  void evacuate(boolean othersAreClosed) {
    if (othersAreClosed
        && all.stream().allMatch(stand -> visible.showsOnly(stand.offset(), trapByte))) {
      occupied = false;
    }
  }
}
