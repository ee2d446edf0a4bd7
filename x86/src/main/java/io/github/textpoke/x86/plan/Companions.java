package io.github.textpoke.x86.plan;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableListMultimap;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Multimaps;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Flow;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.Entrances.Entrant;
import io.github.textpoke.x86.relocate.OutOfLineCopy;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;

/**
 * Displaces, together with a run of instructions, the entries of those functions that lead inside
 * of it.
 *
 * <ol>
 *   <li>Assumes that nobody leads inside of the run but the entrants that are given.
 *   <li>Guarantees that each of them is a direct jump of another function, not far behind its
 *       entry, and displaced with all before it; that it leads to the copy of the instruction that
 *       it has led to; and that nobody enters that function between its entry and the jump. Whoever
 *       comes to the jump has therefore come over the function's first byte: once a jump to the
 *       copy stands there, and nobody is inside any more, nobody leads inside of the run.
 * </ol>
 */
final class Companions {
  private static final int JUMP = 5;

  private final InstructionDecoder decoder;
  private final RseqSections rseq;
  private final boolean shadowStacks;
  private final Entrances entrances;
  private final FunctionSource functions;

  Companions(
      InstructionDecoder decoder,
      RseqSections rseq,
      boolean shadowStacks,
      Entrances entrances,
      FunctionSource functions) {
    this.decoder = decoder;
    this.rseq = rseq;
    this.shadowStacks = shadowStacks;
    this.entrances = entrances;
    this.functions = functions;
  }

  /** What one of them adds to the plan. */
  record Added(Companion companion, Poke poke) {}

  /**
   * Displaces all functions that hold {@code entrants}.
   *
   * @param run that they lead into
   * @param needed bytes of the jump that displaces the run
   * @throws PlanRefusedException by rule 7, if one of them can't be displaced
   */
  ImmutableList<Added> displace(Collection<Entrant> entrants, OutOfLineCopy run, int needed) {
    ImmutableListMultimap<Long, Entrant> byFunction = Multimaps.index(entrants, Entrant::function);
    ImmutableList.Builder<Added> added = ImmutableList.builder();
    int count = 0;
    for (long function : byFunction.keySet()) {
      ImmutableList<Entrant> ways = byFunction.get(function);
      if (count == Companion.MOST) {
        throw refusal(ways.get(0), "more than %d functions lead there".formatted(Companion.MOST));
      }
      long copy = run.address() + DisplacingPlan.room(needed, count);
      added.add(displace(function, ways, run, copy));
      count++;
    }
    return added.build();
  }

  private Added displace(
      long function, ImmutableList<Entrant> ways, OutOfLineCopy run, long copyAddress) {
    Optional<CodeRegion> code =
        functions.startingAt(function).filter(found -> found.address() == function);
    if (code.isEmpty()) {
      throw ways.get(0).refusal();
    }
    try {
      return displace(code.get(), ways, run, copyAddress);
    } catch (PlanRefusedException refused) {
      PlanRefusedException whole =
          refusal(ways.get(0), "at 0x%x: %s".formatted(refused.address(), refused.reason()));
      whole.addSuppressed(refused);
      throw whole;
    }
  }

  private Added displace(
      CodeRegion code, ImmutableList<Entrant> ways, OutOfLineCopy run, long copyAddress) {
    Reading reading = new Reading(decoder, code);
    long site = entry(reading);
    int length = JUMP;
    for (Entrant way : ways) {
      length = Math.max(length, (int) (endOf(reading, way, site, run) - site));
    }
    SiteRules siteRules = new SiteRules(reading, rseq);
    OldCode first = siteRules.check(site);
    if (first.length() >= length) {
      throw refusal(siteRules, first, "it is the one instruction that leads there");
    }
    DisplacingRules rules = new DisplacingRules(reading, siteRules, shadowStacks);
    OutOfLineCopy copy = rules.copy(first, length, copyAddress, inside(run));
    if (copy.displacedLength() > Companion.SITE_MOST) {
      throw refusal(
          siteRules,
          first,
          "%d bytes would be displaced there, and %d are the most"
              .formatted(copy.displacedLength(), Companion.SITE_MOST));
    }
    Poke poke = rules.poke(first, copy, Assembly.jmp(copyAddress), JUMP);
    return new Added(
        new Companion(copy, entrances.check(decoder, code, site, copy.displacedLength())), poke);
  }

  /** The boundaries behind the first byte of a run, and their copies. */
  private static Map<Long, Long> inside(OutOfLineCopy run) {
    return ImmutableMap.copyOf(run.boundaries().tailMap(run.displaced().address(), false));
  }

  /** Behind ENDBR64 (rule 14). */
  private static long entry(Reading reading) {
    Instruction first = reading.boundary(reading.code().address()).instruction();
    return first.flow() == Flow.LANDING_PAD ? first.end() : first.address();
  }

  /** The address behind a jump that leads to where an instruction of the run begins. */
  private static long endOf(Reading reading, Entrant way, long site, OutOfLineCopy run) {
    Instruction jump = reading.boundary(way.source()).instruction();
    boolean isJump =
        switch (jump.flow()) {
          case JUMP, CONDITIONAL_JUMP, COUNTER_JUMP -> true;
          case NEXT,
              NOP,
              CALL,
              INDIRECT_JUMP,
              INDIRECT_CALL,
              RETURN,
              FAR,
              SYSTEM_CALL,
              INTERRUPT,
              BREAKPOINT,
              LANDING_PAD,
              TRANSACTION,
              FAULT ->
              false;
        };
    if (!isJump || jump.directTarget().stream().noneMatch(target -> target == way.target())) {
      throw refusal(reading, jump, "only a direct jump can be made to lead to a copy");
    }
    if (!inside(run).containsKey(way.target())) {
      throw refusal(
          reading, jump, "no instruction that is displaced begins at 0x%x".formatted(way.target()));
    }
    if (jump.address() < site || jump.end() - site > Companion.SITE_MOST) {
      throw refusal(
          reading,
          jump,
          "it ends %d bytes behind the entry of its function, and only %d are displaced there"
              .formatted(jump.end() - site, Companion.SITE_MOST));
    }
    return jump.end();
  }

  private static PlanRefusedException refusal(Reading reading, Instruction at, String reason) {
    return Rules.DISPLACING.refusal(
        at.address(), reading.text(reading.code().offsetOf(at.address())), reason, "");
  }

  private static PlanRefusedException refusal(SiteRules rules, OldCode first, String reason) {
    return rules.refusal(Rules.DISPLACING, first, reason, "");
  }

  /** The refusal of the run, and why the entrant can't be displaced with it. */
  private static PlanRefusedException refusal(Entrant way, String why) {
    PlanRefusedException plain = way.refusal();
    return new PlanRefusedException(
        plain.rule(),
        plain.address(),
        plain.disassembly(),
        plain.reason()
            + "; and the entry of that function, 0x%x, can't be displaced together with them: %s"
                .formatted(way.function(), why),
        plain.remedy());
  }
}
