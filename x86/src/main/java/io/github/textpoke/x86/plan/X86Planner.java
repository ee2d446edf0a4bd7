package io.github.textpoke.x86.plan;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnsupportedPlatformException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;

/**
 * Makes plans for x86-64 code by the {@link Rules}: bytes in, a plan out, on any operating system
 * and without a process. It refuses whatever it can't prove; nothing is planned on a guess.
 *
 * <p>Assumes that a region's first byte is the start of a function, and that all its patches of
 * ours are in {@link CodeRegion#originals}. Guarantees that a plan replaces one instruction by one,
 * or several by one jump; that nobody enters the site in the middle, as far as the region shows it,
 * and where several are displaced as far as the whole object does; and that the plan's inverse is
 * as safe. Indirect branches into the middle of an instruction are not looked for: compilers make
 * none.
 *
 * <p>While a replacement's breakpoint stands, a thread that meets it waits and then runs the site
 * again ({@link TrapAction.Rewind}); so any new instruction will do, and none is emulated. Where
 * several instructions are displaced it goes on in their copy, at once.
 *
 * <p>Not thread-safe, as its decoder is not: make one per thread. Plans are immutable.
 */
public final class X86Planner {
  /** The one-byte breakpoint, int3. */
  public static final int INT3 = 0xcc;

  private final InstructionDecoder decoder;
  private final RseqSections rseq;
  private final boolean shadowStacks;

  private X86Planner(InstructionDecoder decoder, RseqSections rseq, boolean shadowStacks) {
    this.decoder = decoder;
    this.rseq = rseq;
    this.shadowStacks = shadowStacks;
  }

  /** A planner that reads code with our own decoder, and with Zydis as a witness where it is. */
  public static X86Planner create() {
    return with(WitnessedDecoder.best());
  }

  /**
   * A planner that reads code with our own decoder and with Zydis, and refuses where they differ.
   *
   * @throws UnsupportedPlatformException if Zydis is not there, with the reason
   */
  public static X86Planner requiringZydis() {
    return with(WitnessedDecoder.requireZydis());
  }

  /** A planner that reads code with {@code decoder}, which it then owns. */
  public static X86Planner with(InstructionDecoder decoder) {
    return new X86Planner(decoder, RseqSections.NONE, false);
  }

  /** This planner, knowing the program's restartable sequences (rule 16). Shares the decoder. */
  public X86Planner withRseq(RseqSections sections) {
    return new X86Planner(decoder, sections, shadowStacks);
  }

  /**
   * This planner, for a program whose threads have shadow stacks (CET; in {@code /proc/PID/status}
   * the line {@code x86_Thread_features} says {@code shstk}): no call is displaced (rule 8). Shares
   * the decoder.
   */
  public X86Planner withShadowStacks() {
    return new X86Planner(decoder, rseq, true);
  }

  /** The decoder that reads the code. */
  public InstructionDecoder decoder() {
    return decoder;
  }

  /**
   * Plans to replace the one instruction at {@code site}. A jump that needs more room is planned by
   * {@link #displace}.
   *
   * @param code the function that holds the site, as it stands now
   * @param site absolute address of the instruction's first byte; if we patched it before, the plan
   *     replaces what we put there
   * @param replacement the new instruction
   * @throws PlanRefusedException if one of the {@link Rules} forbids it
   */
  public PatchPlan replace(CodeRegion code, long site, Assembly replacement) {
    Reading reading = new Reading(decoder, code);
    return plan(new OneForOne(reading, new SiteRules(reading, rseq)).poke(site, replacement));
  }

  /**
   * Plans a jump at {@code site} that displaces as many instructions as it needs room for: five
   * bytes, or two where the target is within 127. Displaced code goes on to be run in an
   * out-of-line copy, whose bytes the result holds.
   *
   * <p>A loop over the first byte of the site, all of it displaced, stays in the copy: the jump is
   * met when control comes to the site from elsewhere. Where the first instruction has room for the
   * jump, the plan is that of {@link #replace}, and the copy is for whoever wants to call the old
   * code.
   *
   * @param code the whole function that holds the site, as it stands now
   * @param site absolute address of the first byte of the first instruction; behind the ENDBR64 of
   *     a function's entry
   * @param target absolute address where the jump leads; may be the copy's
   * @param copy absolute address where the copy will stand, within 2 GiB of all that it names; the
   *     {@link OutOfLineCopy#maxSize} bytes from there on are nobody else's
   * @param entrances of the object that holds the function
   * @throws PlanRefusedException if one of the {@link Rules} forbids it
   */
  public DisplacingPlan displace(
      CodeRegion code, long site, long target, long copy, Entrances entrances) {
    return displace(code, site, target, copy, entrances, FunctionSource.NONE);
  }

  /**
   * As {@link #displace(CodeRegion, long, long, long, Entrances)}. Where functions lead inside by a
   * jump near their entry, these entries are displaced by the same plan: see {@link Companion}.
   *
   * @param copy absolute address where the copies will stand; the {@link DisplacingPlan#room} bytes
   *     from there on are nobody else's
   * @param functions of the object, to look at those that lead inside
   */
  public DisplacingPlan displace(
      CodeRegion code,
      long site,
      long target,
      long copy,
      Entrances entrances,
      FunctionSource functions) {
    Reading reading = new Reading(decoder, code);
    SiteRules siteRules = new SiteRules(reading, rseq);
    OldCode first = siteRules.check(site);
    Assembly jump = Assembly.jmp(target);
    int needed = jump.shortest(site);
    DisplacingRules rules = new DisplacingRules(reading, siteRules, shadowStacks);
    OutOfLineCopy displaced = rules.copy(first, needed, copy, ImmutableMap.of());
    if (needed <= first.length()) {
      return new DisplacingPlan(replace(code, site, jump), displaced, Optional.empty());
    }
    Poke poke = rules.poke(first, displaced, jump, needed);
    Entrances.Entered entered = entrances.look(decoder, code, site, needed);
    Entrances.Unentered unentered = entered.unentered();
    checkState(
        unentered.to() == poke.site().end(), "%s is no proof for %s", unentered, poke.site());
    if (entered.entrants().isEmpty()) {
      return new DisplacingPlan(plan(poke), displaced, Optional.of(unentered));
    }
    ImmutableList<Companions.Added> added =
        new Companions(decoder, rseq, shadowStacks, entrances, functions)
            .displace(entered.entrants(), displaced, needed);
    List<PatchPlan> plans = new ArrayList<>(List.of(plan(poke)));
    added.forEach(companion -> plans.add(plan(companion.poke())));
    return new DisplacingPlan(
        batch(plans),
        displaced,
        Optional.of(unentered),
        added.stream().map(Companions.Added::companion).collect(ImmutableList.toImmutableList()));
  }

  /**
   * Finds the entry and all exits of a function, as runs of instructions that can each be displaced
   * by a jump.
   *
   * @param code the whole function, as it stands now
   * @param site absolute address of the instruction at the entry from which on a jump displaces
   * @param entryLength how many bytes it displaces there, see {@link #displace}
   * @param entrances of the object that holds the function
   * @param parts of the function that were split off
   * @throws PlanRefusedException by rule 7 if it is not known where control leaves the function, by
   *     any of the {@link Rules} if no jump can stand at one of the exits
   */
  public FunctionEnds ends(
      CodeRegion code, long site, int entryLength, Entrances entrances, PartSource parts) {
    return FunctionEnds.of(this, code, site, entryLength, entrances, parts);
  }

  /**
   * Plans a jump at the start of a run of instructions that ends by one by which control leaves the
   * function. Displaced code goes on to be run in an out-of-line copy, whose bytes the result
   * holds.
   *
   * @param run of {@link FunctionEnds}, or one that begins at a function's entry
   * @param target absolute address where the jump leads
   * @param copy absolute address where the copy will stand, as for {@link #displace}
   * @param entrances of the object that holds the function
   * @throws PlanRefusedException if one of the {@link Rules} forbids it
   */
  public DisplacingPlan displace(ExitRun run, long target, long copy, Entrances entrances) {
    Reading reading = new Reading(decoder, run.code());
    SiteRules siteRules = new SiteRules(reading, rseq);
    OldCode first = siteRules.check(run.start());
    Assembly jump = Assembly.jmp(target);
    int needed = ExitRun.JUMP;
    DisplacingRules rules = new DisplacingRules(reading, siteRules, shadowStacks);
    OutOfLineCopy displaced = rules.copy(first, run.length(), copy, ImmutableMap.of());
    if (needed <= first.length() && run.length() == first.length()) {
      return new DisplacingPlan(
          replace(run.code(), run.start(), jump), displaced, Optional.empty());
    }
    Poke poke = rules.poke(first, displaced, jump, needed);
    Entrances.Entered entered =
        entrances.look(decoder, run.code(), run.start(), poke.length(), run.end());
    if (!entered.entrants().isEmpty()) {
      throw entered.entrants().get(0).refusal();
    }
    return new DisplacingPlan(
        plan(poke), displaced, Optional.of(entered.unentered()).filter(any -> poke.displaces()));
  }

  /**
   * Plans to set a breakpoint at {@code site} that stays.
   *
   * @param code the function that holds the site, as it stands now
   * @param site absolute address of an instruction's first byte
   * @param action what becomes of a thread that runs it: {@link TrapAction.Redirect}, or {@link
   *     TrapAction.PassOn} for a program that takes its SIGTRAP itself and does not go on behind
   *     the breakpoint's byte
   * @throws PlanRefusedException if one of the {@link Rules} forbids it
   */
  public PatchPlan arm(CodeRegion code, long site, TrapAction action) {
    Reading reading = new Reading(decoder, code);
    SiteRules siteRules = new SiteRules(reading, rseq);
    OldCode old = siteRules.check(site);
    if (old.isArmed()) {
      throw siteRules.refusal(
          Rules.BREAKPOINTS, old, "we armed a breakpoint there already", "revert that patch first");
    }
    badAction(reading, old, action)
        .ifPresent(
            reason -> {
              throw siteRules.refusal(
                  Rules.BREAKPOINTS,
                  old,
                  reason,
                  "redirect to code outside of the site, or pass the trap on to the program");
            });
    CodeBytes armed = old.site().bytes().with(0, CodeBytes.of(INT3));
    return plan(new Poke(old.site(), old.now().length(), armed, 1, action));
  }

  /**
   * Plans a breakpoint at {@code site} that stays, for where no jump can stand: of the instruction
   * there only the first byte is written, so it does not matter who enters behind it. A thread that
   * meets the breakpoint goes on at {@code target}, and from the out-of-line copy of the one
   * instruction, whose bytes the result holds, behind the site.
   *
   * @param code the function that holds the site, as it stands now
   * @param site absolute address of an instruction's first byte, not that of an ENDBR64
   * @param target absolute address where threads are led; may be the copy's
   * @param copy absolute address where the copy will stand, as for {@link #displace}
   * @throws PlanRefusedException if one of the {@link Rules} forbids it
   */
  public DisplacingPlan stop(CodeRegion code, long site, long target, long copy) {
    Reading reading = new Reading(decoder, code);
    SiteRules siteRules = new SiteRules(reading, rseq);
    OldCode old = siteRules.check(site);
    siteRules.checkRseq(old);
    OutOfLineCopy displaced =
        new DisplacingRules(reading, siteRules, shadowStacks).copy(old, 1, copy, ImmutableMap.of());
    return new DisplacingPlan(
        arm(code, site, new TrapAction.Redirect(target)), displaced, Optional.empty());
  }

  /**
   * One plan that does what several do, with the core syncs shared (rule 6).
   *
   * @param plans at least one, in any order
   * @throws PlanRefusedException by rule 6 if two sites share a byte, or a new branch of one leads
   *     inside another
   */
  public PatchPlan batch(Collection<PatchPlan> plans) {
    checkArgument(!plans.isEmpty(), "a batch has at least one plan");
    for (PatchPlan plan : plans) {
      checkArgument(plan.trapByte() == INT3, "a plan for another instruction set: %s", plan);
    }
    ImmutableList<Poke> pokes =
        plans.stream()
            .flatMap(plan -> plan.pokes().stream())
            .collect(ImmutableList.toImmutableList());
    PatchPlan batch = PatchPlan.of(INT3, pokes);
    new BatchRules(decoder).check(batch);
    return batch;
  }

  /**
   * Which kinds of patch can be done at {@code site}, and why others can't, for people to read.
   * Targets of jumps and calls are taken to be in reach.
   *
   * @return one row for each {@link PatchOption.Kind}, in their order
   */
  public ImmutableList<PatchOption> options(CodeRegion code, long site) {
    ImmutableList.Builder<PatchOption> options = ImmutableList.builder();
    for (PatchOption.Kind kind : PatchOption.Kind.values()) {
      options.add(new PatchOption(kind, refusal(kind, code, site)));
    }
    return options.build();
  }

  /**
   * The code as it stands now, one line an instruction. Where bytes are none there is a line for
   * one byte, and reading goes on behind it.
   */
  public ImmutableList<CodeLine> disassemble(CodeRegion code) {
    ImmutableList.Builder<CodeLine> lines = ImmutableList.builder();
    for (int at = 0; at < code.bytes().length(); ) {
      long decoded = decoder.decode(code, at);
      boolean isInstruction = Decoded.isDecoded(decoded);
      int length = isInstruction ? Decoded.length(decoded) : 1;
      lines.add(
          new CodeLine(
              code.address() + at,
              code.bytes().slice(at, at + length),
              isInstruction
                  ? Reading.text(decoder, code, at)
                  : "(" + Decoded.reason(decoded).words() + ")",
              isInstruction));
      at += length;
    }
    return lines.build();
  }

  private Optional<PlanRefusedException> refusal(
      PatchOption.Kind kind, CodeRegion code, long site) {
    // Behind the function: near enough for 32 bits; for 8 bits it must be behind the site.
    long far = code.end() + 0x1000;
    long near = near(code, site);
    try {
      switch (kind) {
        case NOP -> replace(code, site, Assembly.nop());
        case RETURN -> replace(code, site, Assembly.ret());
        case SHORT_JUMP -> replace(code, site, Assembly.jmp(near));
        case JUMP -> replace(code, site, Assembly.jmp(far));
        case CALL -> replace(code, site, Assembly.call(far));
        case BREAKPOINT -> arm(code, site, new TrapAction.Redirect(far));
      }
      return Optional.empty();
    } catch (PlanRefusedException refused) {
      return Optional.of(refused);
    }
  }

  /** A boundary behind the site that a short jump reaches. */
  private long near(CodeRegion code, long site) {
    return disassemble(code).stream()
        .mapToLong(CodeLine::address)
        .filter(address -> Long.compareUnsigned(address, site + Instruction.MAX_LENGTH) > 0)
        .findFirst()
        .orElse(code.end());
  }

  private static PatchPlan plan(Poke poke) {
    return PatchPlan.of(INT3, ImmutableList.of(poke));
  }

  /** Why a breakpoint can't stay with this action; empty where it can. */
  private static Optional<String> badAction(Reading reading, OldCode old, TrapAction action) {
    if (action instanceof TrapAction.Rewind) {
      return Optional.of("a thread that is rewound to a breakpoint that stays would wait for ever");
    }
    if (action instanceof TrapAction.Redirect redirect) {
      long distance = redirect.address() - old.site().address();
      return distance >= 0 && distance < old.length()
          ? Optional.of("the redirect leads into the site itself")
          : reading
              .middleOf(redirect.address())
              .map(text -> "the redirect leads into the middle of " + text);
    }
    return Optional.empty();
  }
}
