package io.github.textpoke.x86.target;

import static io.github.textpoke.apply.internal.SessionLayout.IMAGE;
import static io.github.textpoke.apply.internal.SessionLayout.PLAN_SITES;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_ADDRESS;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_LENGTH;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SEVERAL;
import static io.github.textpoke.apply.internal.SessionLayout.SITE_SIZE;
import static io.github.textpoke.apply.internal.SessionLayout.STACKS;
import static io.github.textpoke.apply.internal.SessionLayout.STACKS_CAPACITY;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.x86.target.Emitter.Routine;
import io.github.textpoke.x86.target.Value.Place;
import io.github.textpoke.x86.target.Value.Quotient;
import io.github.textpoke.x86.target.Value.Slot;

/**
 * Threads that may stand inside of a site which is evacuated, and moving them out. On every
 * boundary inside stands a breakpoint that every core sees, so who was seen outside stays outside.
 *
 * <p>A stack is read from the stack pointer to the end of its mapping, since a signal frame there
 * may have saved the address of a boundary. Conservative: a word that happens to have such a value
 * counts too. Where a handler runs on a stack of its own, the frame there tells where the
 * interrupted stack goes on, and that is read as well.
 */
final class Evacuees {
  /** Bytes of a stack that are looked at: twice what most threads may use. */
  private static final int MOST = 16 << 20;

  /** Stacks that one thread may have: its own, and one for handlers, and what we don't know. */
  private static final int MOST_STACKS = 4;

  /**
   * The segments that a signal frame saves: cs 0x33, gs 0, fs 0, ss 0x2b, of two bytes each. Before
   * them lie rsp, rip and eflags, of eight (arch/x86/include/uapi/asm/sigcontext.h).
   */
  private static final long SEGMENTS = 0x002b_0000_0000_0033L;

  private static final int RSP_BEFORE_SEGMENTS = 3 * Long.BYTES;

  /** Of a mapping in the table: its start, and its end behind it. */
  static final int MAPPING_SIZE = 16;

  /**
   * {@code begin(plan, kind)}: from now on {@link #see} looks for threads inside of those sites of
   * a plan whose several instructions are its old or its new bytes.
   */
  final Routine begin;

  /** {@code see(entry)}: of a stopped thread that has no trap of ours to report. */
  final Routine see;

  /** {@code seeOutside(entry, stack)}: of one that is known to stand outside. */
  final Routine seeOutside;

  /** {@code copyInside(address)}: the copy of a boundary that is evacuated, else 0. */
  final Routine copyInside;

  /** SITE_OLD or SITE_NEW while sites of one kind are evacuated, else 0. */
  final Slot kind;

  /** The plan whose sites are. */
  final Slot plan;

  /** End of the table of the target's readable mappings, which begins at IMAGE. */
  final Slot mappingsEnd;

  /** Whether all of them are in the table. */
  final Slot complete;

  /** Of the last thread whose stack leads inside: its id, the address of the word, the word. */
  final Slot holder;

  final Slot holdingWord;
  final Slot heldBoundary;

  private final Emitter emitter;
  private final Leaves leaves;
  private final Sites sites;
  private final Threads threads;

  /** From the first site to the end of the last. */
  private final Slot lowest;

  private final Slot span;

  /** What stands where the last word was found; 0: nobody knows. */
  private final Slot found;

  private final Routine endOfMapping;
  private final Routine findOnStack;

  Evacuees(Emitter emitter, Leaves leaves, Sites sites, Threads threads) {
    this.emitter = emitter;
    this.leaves = leaves;
    this.sites = sites;
    this.threads = threads;
    kind = emitter.variable();
    plan = emitter.variable();
    mappingsEnd = emitter.variable();
    complete = emitter.variable();
    holder = emitter.variable();
    holdingWord = emitter.variable();
    heldBoundary = emitter.variable();
    lowest = emitter.variable();
    span = emitter.variable();
    found = emitter.variable();
    begin = begin(emitter.variable(), emitter.variable());
    copyInside = copyInside(emitter.variable(), emitter.variable());
    endOfMapping = endOfMapping(emitter.variable(), emitter.variable(), emitter.variable());
    findOnStack = findOnStack(emitter.variable(), emitter.variable(), emitter.variable());
    seeOutside = seeOutside(emitter.variable(), emitter.variable());
    see = see(emitter.variable());
  }

  private Routine begin(Slot whose, Slot which) {
    return emitter.routine(
        "beginEvacuation",
        "from now on threads inside of these sites are looked for",
        ImmutableList.of(whose, which),
        () -> {
          emitter.set(plan, whose);
          emitter.set(kind, which);
          emitter.set(holder, 0);
          emitter.set(Shared.STACKS_COUNT, 0);
          emitter.set(lowest, plan.at(PLAN_SITES).at(SITE_ADDRESS));
          emitter.set(
              span, plan.at(PLAN_SITES).plus(plan.at(PLAN_SITES + 8).minus(1).times(SITE_SIZE)));
          emitter.set(span, span.at(SITE_ADDRESS).plus(span.intAt(SITE_LENGTH)).minus(lowest));
        });
  }

  private Routine copyInside(Slot address, Slot site) {
    return emitter.routine(
        "copyInside",
        "the copy of a boundary that is evacuated; 0: it is none",
        ImmutableList.of(address),
        () -> {
          emitter.set(site, sites.around.of(plan, address));
          emitter.when(site.is(0), () -> emitter.give(0));
          emitter.note("who stands on the first byte is left alone");
          emitter.when(
              Emitter.either(
                  site.at(SITE_ADDRESS).is(address), site.shortAt(SITE_SEVERAL).isNot(kind)),
              () -> emitter.give(0));
          emitter.give(sites.copy.of(site, address));
        });
  }

  private Routine endOfMapping(Slot address, Slot low, Slot high) {
    Slot middle = emitter.variable();
    return emitter.routine(
        "endOfMapping",
        "the end of the mapping that holds an address; 0: none does",
        ImmutableList.of(address),
        () -> {
          emitter.set(low, 0);
          emitter.set(high, new Quotient(mappingsEnd.minus(new Place(IMAGE)), MAPPING_SIZE, false));
          emitter.loopWhile(
              low.isLess(high),
              () -> {
                emitter.set(middle, new Quotient(low.plus(high), 2, false));
                emitter.when(
                    address.isBelow(mapping(middle).at(0)),
                    () -> emitter.set(high, middle),
                    () -> emitter.set(low, middle.plus(1)));
              });
          emitter.when(low.is(0), () -> emitter.give(0));
          emitter.set(low, mapping(low.minus(1)).at(Long.BYTES));
          emitter.when(address.isBelow(low), () -> emitter.give(low));
        });
  }

  private static Value mapping(Value index) {
    return new Place(IMAGE).plus(index.times(MAPPING_SIZE));
  }

  /** No stack that led inside when the breakpoints stood can be missing among the mappings. */
  private Routine findOnStack(Slot next, Slot from, Slot to) {
    Slot stacks = emitter.variable();
    Slot at = emitter.variable();
    Slot word = emitter.variable();
    return emitter.routine(
        "findOnStack",
        "address of a word on a stack that is a boundary which is evacuated; 0: there is none",
        ImmutableList.of(next),
        () -> {
          emitter.set(found, 0);
          emitter.times(
              stacks,
              Value.of(MOST_STACKS),
              () -> {
                emitter.when(next.is(0), () -> emitter.give(0));
                emitter.set(from, next.and(-Long.BYTES));
                emitter.set(to, endOfMapping.of(from));
                emitter.when(
                    to.is(0),
                    () -> {
                      emitter.note("in a table that has no room for all, it may be missing");
                      emitter.when(complete.is(0), () -> emitter.give(next));
                      emitter.give(0);
                    });
                emitter.when(
                    to.minus(from).isBelow(Value.of(MOST)),
                    () -> {},
                    () -> emitter.set(to, from.plus(MOST)));
                emitter.set(next, 0);
                emitter.set(at, from);
                emitter.loop(
                    () -> {
                      emitter.set(at, leaves.scan.of(at, to, lowest, span, Value.of(SEGMENTS)));
                      emitter.note("no word: the end, or memory that can't be read");
                      emitter.when(leaves.scanned.is(0), emitter::leave);
                      emitter.set(word, leaves.scanned);
                      emitter.when(
                          copyInside.of(word).isNot(0),
                          () -> {
                            emitter.set(found, word);
                            emitter.give(at);
                          });
                      emitter.when(
                          Emitter.both(
                              word.is(SEGMENTS), at.minus(from).isGreater(RSP_BEFORE_SEGMENTS - 1)),
                          () -> {
                            emitter.set(word, 0);
                            emitter.run(
                                leaves.fetch,
                                at.minus(RSP_BEFORE_SEGMENTS),
                                word.address(),
                                Value.of(Long.BYTES));
                            emitter.note("a signal frame: where the interrupted stack goes on");
                            emitter.set(next, word);
                          });
                      emitter.add(at, Long.BYTES);
                    });
                emitter.note("that on this very stack was read");
                emitter.when(next.minus(from).isBelow(to.minus(from)), () -> emitter.set(next, 0));
              });
        });
  }

  private Routine seeOutside(Slot entry, Slot stack) {
    Slot where = emitter.variable();
    return emitter.routine(
        "seeOutside",
        "a thread that stands outside stays outside, unless its stack leads back",
        ImmutableList.of(entry, stack),
        () -> {
          emitter.set(where, findOnStack.of(stack));
          emitter.when(
              where.is(0),
              () -> {
                threads.clear(entry, Threads.EVACUATING | Threads.ASKED);
                emitter.when(
                    Shared.STACKS_COUNT.isLess(STACKS_CAPACITY),
                    () -> {
                      emitter.store(
                          new Place(STACKS).plus(Shared.STACKS_COUNT.times(Long.BYTES)),
                          0,
                          8,
                          stack);
                      emitter.add(Shared.STACKS_COUNT, 1);
                    });
              },
              () -> {
                emitter.set(holder, Threads.tid(entry));
                emitter.set(holdingWord, where);
                emitter.set(heldBoundary, found);
              });
        });
  }

  private Routine see(Slot entry) {
    Slot copy = emitter.variable();
    return emitter.routine(
        "see",
        "where a stopped thread stands: one that is inside goes on in the copy",
        ImmutableList.of(entry),
        () -> {
          emitter.when(
              registers(Sys.PTRACE_GETREGS, entry).isLess(0),
              () -> {
                emitter.note("it was killed: its end comes next");
                emitter.give(0);
              });
          emitter.set(copy, copyInside.of(Events.RIP));
          emitter.when(
              copy.isNot(0),
              () -> {
                emitter.set(Events.RIP, copy);
                emitter.when(registers(Sys.PTRACE_SETREGS, entry).isLess(0), () -> emitter.give(0));
              });
          emitter.run(seeOutside, entry, Events.RSP);
        });
  }

  private static Value registers(int request, Value entry) {
    return Emitter.call(
        Sys.PTRACE, Value.of(request), Threads.tid(entry), Value.of(0), Events.REGISTERS);
  }
}
