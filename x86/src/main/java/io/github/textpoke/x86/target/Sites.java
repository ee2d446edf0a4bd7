package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.PLAN_SITES;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_COPIES;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SEVERAL;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Slot;

/** The sites of a plan: which one an address is in, and where a thread goes on that is inside. */
final class Sites {
  static final int BREAKPOINT = 0xcc;

  /** {@code around(plan, address)}: the plan's site that holds the address, 0: none does. */
  final Routine around;

  /**
   * {@code copy(site, address)}: where a thread goes on in the out-of-line copy that is to run what
   * began at an address of the site; 0: nothing did, or it waits.
   */
  final Routine copy;

  /**
   * {@code standIn(site, bytes)}: whether nothing but breakpoints of ours tells bytes from the
   * site's several instructions: then threads may stand inside.
   */
  final Routine standIn;

  private final Emitter emitter;

  Sites(Emitter emitter) {
    this.emitter = emitter;
    around = around(emitter.variable(), emitter.variable(), emitter.variable(), emitter.variable());
    copy = copy(emitter.variable(), emitter.variable());
    standIn = standIn(emitter.variable(), emitter.variable(), emitter.variable());
  }

  /** Sites are sorted, so this is a search in halves. */
  private Routine around(Slot plan, Slot address, Slot low, Slot high) {
    Slot middle = emitter.variable();
    return emitter.routine(
        "siteAround",
        "the plan's site that holds an address; 0: none does",
        ImmutableList.of(plan, address),
        () -> {
          emitter.set(low, 0);
          emitter.set(high, plan.at(PLAN_SITES + 8));
          emitter.loopWhile(
              low.isLess(high),
              () -> {
                emitter.set(middle, new Quotient(low.plus(high), 2, false));
                emitter.when(
                    address.isBelow(at(plan, middle).at(SITE_ADDRESS)),
                    () -> emitter.set(high, middle),
                    () -> emitter.set(low, middle.plus(1)));
              });
          emitter.when(low.is(0), () -> emitter.give(0));
          emitter.note("the last one that does not begin behind it");
          emitter.set(low, at(plan, low.minus(1)));
          emitter.when(
              address.minus(low.at(SITE_ADDRESS)).isBelow(low.intAt(SITE_LENGTH)),
              () -> emitter.give(low));
        });
  }

  private static Value at(Value plan, Value index) {
    return plan.at(PLAN_SITES).plus(index.times(SITE_SIZE));
  }

  private Routine copy(Slot site, Slot address) {
    return emitter.routine(
        "copyOf",
        "where a thread goes on that is to run what began at an address of a site; 0: nowhere",
        ImmutableList.of(site, address),
        () -> {
          emitter.when(site.at(SITE_COPIES).is(0), () -> emitter.give(0));
          emitter.when(
              address.minus(site.at(SITE_ADDRESS)).isBelow(site.intAt(SITE_LENGTH)),
              () ->
                  emitter.give(
                      site.at(SITE_COPIES)
                          .plus(address.minus(site.at(SITE_ADDRESS)).times(Long.BYTES))
                          .at(0)));
        });
  }

  private Routine standIn(Slot site, Slot bytes, Slot index) {
    Slot several = emitter.variable();
    return emitter.routine(
        "standIn",
        "whether the several instructions of a site stand in bytes, but for breakpoints of ours",
        ImmutableList.of(site, bytes),
        () -> {
          emitter.when(site.shortAt(SITE_SEVERAL).is(0), () -> emitter.give(0));
          emitter.set(several, site.plus(site.shortAt(SITE_SEVERAL)));
          emitter.times(
              index,
              site.intAt(SITE_LENGTH),
              () ->
                  emitter.when(
                      bytes.plus(index).byteAt(0).isNot(several.plus(index).byteAt(0)),
                      () -> {
                        emitter.when(
                            bytes.plus(index).byteAt(0).isNot(BREAKPOINT), () -> emitter.give(0));
                        emitter.when(
                            Emitter.both(
                                index.isNot(0),
                                site.at(SITE_COPIES).plus(index.times(Long.BYTES)).at(0).is(0)),
                            () -> emitter.give(0));
                      }));
          emitter.give(1);
        });
  }
}
