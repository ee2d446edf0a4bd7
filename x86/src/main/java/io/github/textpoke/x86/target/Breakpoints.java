package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.PLAN_NEXT;
import static io.github.textpoke.apply.internal.SessionLayout.SCRATCH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_IS_OURS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Whose breakpoint a thread has run, from the address alone. Plans that are over are remembered:
 * their traps may still come.
 */
final class Breakpoints {
  private static final Slot BYTE = new Slot(SCRATCH + 0x650, 1);
  private static final Place BYTES = new Place(SCRATCH + 0x730);

  /** {@code standsAt(address)}: whether a breakpoint stands there that can be read. */
  final Routine standsAt;

  /**
   * {@code meet(address)}: whose breakpoint stood at an address; the site, 0: none of ours. It
   * stands in {@link #met} then, and in {@link #site}, {@link #copy} and {@link #metNow} what
   * belongs to it.
   */
  final Routine meet;

  /** {@code isOneByte()}: whether the instruction on which the one that was met stood is short. */
  final Routine isOneByte;

  /** {@code isGone()}: whether the one that was met is ours, and who has run it may go on. */
  final Routine isGone;

  /** Those that stay. */
  final StandingBreakpoints standing;

  /** Plans whose late traps may still come: the first; each knows the next. */
  final Slot retired;

  /** The plan that was begun last, 0 when its late traps can't come any more. */
  final Slot current;

  /** Whether it displaces instructions, and is not over. */
  final Slot underWay;

  /** Where the breakpoint is that was looked for last. */
  final Slot site;

  /** The site of ours whose breakpoint that is, 0: it is not ours. */
  final Slot met;

  /** Where the thread goes on, 0: it runs the site again. */
  final Slot copy;

  /** Whether the breakpoint is one that stays, or of the plan that is under way. */
  final Slot metNow;

  private final Emitter emitter;
  private final Leaves leaves;
  private final Sites sites;
  private final Routine isNotOurs;

  Breakpoints(Emitter emitter, Leaves leaves, Sites sites) {
    this.emitter = emitter;
    this.leaves = leaves;
    this.sites = sites;
    retired = emitter.variable();
    current = emitter.variable();
    underWay = emitter.variable();
    site = emitter.variable();
    met = emitter.variable();
    copy = emitter.variable();
    metNow = emitter.variable();
    standing = new StandingBreakpoints(emitter, sites, retired);
    standsAt = standsAt(emitter.variable());
    meet = meet(emitter.variable(), emitter.variable());
    isOneByte = isOneByte();
    isNotOurs = isNotOurs();
    isGone = isGone();
  }

  private Routine standsAt(Slot address) {
    return emitter.routine(
        "breakpointAt",
        "whether a breakpoint stands there",
        ImmutableList.of(address),
        () -> {
          emitter.when(
              leaves.fetch.of(address, BYTE.address(), Value.of(1)).isNot(0),
              () -> emitter.give(0));
          emitter.when(BYTE.is(Sites.BREAKPOINT), () -> emitter.give(1));
        });
  }

  /**
   * One that stays comes first, then the plan that was begun last. Of others, a copy comes before a
   * site: it does what was to be run, whichever code stands there now.
   */
  private Routine meet(Slot plan, Slot around) {
    return emitter.routine(
        "meet",
        "which breakpoint of ours stood at an address, and where who has run it goes on",
        ImmutableList.of(site),
        () -> {
          emitter.set(met, 0);
          emitter.set(copy, 0);
          emitter.set(metNow, 0);
          emitter.set(copy, standing.destination.of(site));
          emitter.when(
              copy.isNot(0),
              () -> {
                emitter.set(met, standing.met);
                emitter.set(metNow, 1);
                emitter.give(met);
              });
          emitter.when(
              current.isNot(0),
              () -> {
                emitter.set(around, sites.around.of(current, site));
                emitter.when(
                    around.isNot(0),
                    () -> {
                      emitter.when(
                          around.at(SITE_ADDRESS).is(site),
                          () ->
                              emitter.when(
                                  around.shortAt(SITE_IS_OURS).isNot(0),
                                  () -> emitter.set(met, around)),
                          () ->
                              emitter.when(
                                  sites.copy.of(around, site).isNot(0),
                                  () -> emitter.set(met, around)));
                      emitter.when(
                          met.isNot(0),
                          () -> {
                            emitter.set(metNow, underWay);
                            emitter.note(
                                "to the copy of the first byte only while it is displaced");
                            emitter.when(
                                Emitter.either(
                                    metNow.isNot(0), around.at(SITE_ADDRESS).isNot(site)),
                                () -> emitter.set(copy, sites.copy.of(around, site)));
                            emitter.give(met);
                          });
                    });
              });
          emitter.set(plan, retired);
          emitter.loopWhile(
              plan.isNot(0),
              () -> {
                emitter.set(around, sites.around.of(plan, site));
                emitter.when(
                    around.isNot(0),
                    () ->
                        emitter.when(
                            around.at(SITE_ADDRESS).is(site),
                            () ->
                                emitter.when(
                                    Emitter.both(met.is(0), around.shortAt(SITE_IS_OURS).isNot(0)),
                                    () -> emitter.set(met, around)),
                            () -> {
                              emitter.set(copy, sites.copy.of(around, site));
                              emitter.when(
                                  copy.isNot(0),
                                  () -> {
                                    emitter.set(met, around);
                                    emitter.give(met);
                                  });
                            }));
                emitter.set(plan, plan.at(PLAN_NEXT));
              });
          emitter.give(met);
        });
  }

  private Routine isOneByte() {
    return emitter.routine(
        "isOneByte",
        "whether the instruction that the breakpoint was on had one byte",
        ImmutableList.of(),
        () -> {
          emitter.when(
              site.plus(1).minus(met.at(SITE_ADDRESS)).is(met.intAt(SITE_LENGTH)),
              () -> emitter.give(1));
          emitter.give(sites.copy.of(met, site.plus(1)));
        });
  }

  /** Where one instruction stands, none can: a byte of it looks like one. */
  private Routine isNotOurs() {
    return emitter.routine(
        "isNotOurs",
        "whether somebody else's breakpoint stands on a boundary inside of a site",
        ImmutableList.of(),
        () -> {
          emitter.when(
              Emitter.either(metNow.isNot(0), standsAt.of(site).is(0)), () -> emitter.give(0));
          emitter.when(
              leaves.fetch.of(met.at(SITE_ADDRESS), BYTES, met.intAt(SITE_LENGTH)).isNot(0),
              () -> emitter.give(0));
          emitter.give(sites.standIn.of(met, BYTES));
        });
  }

  /** Another breakpoint may stand there: the program's own, or a debugger's. */
  private Routine isGone() {
    return emitter.routine(
        "isGone",
        "whether the breakpoint that was met is ours, and who has run it may go on",
        ImmutableList.of(),
        () -> {
          emitter.when(met.is(0), () -> emitter.give(0));
          emitter.when(
              copy.isNot(0),
              () -> emitter.when(isNotOurs.of().is(0), () -> emitter.give(1)),
              () -> emitter.when(standsAt.of(site).is(0), () -> emitter.give(1)));
        });
  }
}
