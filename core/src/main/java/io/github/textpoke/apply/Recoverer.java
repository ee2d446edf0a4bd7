package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.apply.Recording.Marks;
import io.github.textpoke.apply.RecoveredPatch.Result;
import io.github.textpoke.ledger.LedgerEntry;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.ledger.Progress.State;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeProtocol;
import io.github.textpoke.plan.Recovery;
import io.github.textpoke.plan.Recovery.Goal;
import io.github.textpoke.plan.TrapAction;

/**
 * Finishes or rolls back what was cut off, from the ledger and from the bytes that are found. While
 * it works, threads that run a breakpoint of a dead patcher wait, and run the site again in the
 * end.
 */
final class Recoverer {
  private final TargetLedger ledger;

  Recoverer(TargetLedger ledger) {
    this.ledger = ledger;
  }

  /** Whether anything was cut off, or is under way. */
  boolean isNeeded() {
    return ledger.contents().entries().stream().anyMatch(Recoverer::isCutOff);
  }

  /** Whether a plan was cut off that has sites which are too long for the poker. */
  boolean isTooLongForPoker() {
    return ledger.contents().entries().stream()
        .filter(Recoverer::isCutOff)
        .flatMap(entry -> entry.plan().pokes().stream())
        .anyMatch(poke -> !PlanLayout.fits(poke));
  }

  private static boolean isCutOff(LedgerEntry entry) {
    State state = entry.progress().state();
    return state == State.APPLYING || state == State.REVERTING || state == State.BYPASSING;
  }

  /** Recovers all that was cut off, with an engine whose recovery has begun. */
  ImmutableList<RecoveredPatch> recover(Engine engine) {
    // Read while nobody else can patch: what is under way now has nobody who does it.
    return ledger.contents().entries().stream()
        .filter(Recoverer::isCutOff)
        .map(entry -> recover(engine, entry))
        .collect(ImmutableList.toImmutableList());
  }

  /** What was under way. */
  private static PatchPlan plan(LedgerEntry entry) {
    return entry.progress().state() == State.BYPASSING
        ? entry.note().detour().orElseThrow().bypass()
        : entry.plan();
  }

  private static Progress done(LedgerEntry entry, Goal goal) {
    if (entry.progress().state() == State.BYPASSING) {
      return new Progress(goal == Goal.NEW ? State.BYPASSED : State.APPLIED, 0);
    }
    return goal == Goal.NEW ? new Progress(State.APPLIED, 0) : PatchRecord.goneState(entry.note());
  }

  private RecoveredPatch recover(Engine engine, LedgerEntry entry) {
    PatchPlan plan = plan(entry);
    ImmutableList<CodeBytes> found =
        plan.pokes().stream().map(ledger::found).collect(ImmutableList.toImmutableList());
    Goal goal = goal(entry, found);
    Recovery recovery = PokeProtocol.recovery(plan, found, goal);
    ImmutableList<FoundSite> foreign = recovery.foreign();
    Progress done = !foreign.isEmpty() ? entry.progress() : done(entry, goal);
    ImmutableList<Poke> pokes =
        recovery.sites().stream()
            .filter(site -> site.state() != FoundSite.State.FOREIGN)
            .map(site -> poke(site, goal))
            .collect(ImmutableList.toImmutableList());
    if (pokes.isEmpty()) {
      ledger.ledger().progress(entry, done);
    } else {
      long begun = new Progress(entry.progress().state(), 0).word();
      Marks marks = new Marks(entry.progressAddress(), begun, done.word(), begun);
      engine.apply(
          new CompiledPlan(
              new PatchPlan(plan.trapByte(), pokes, recovery.steps()), recovery.steps()),
          (hold, room) -> marks);
    }
    Result result =
        !foreign.isEmpty() ? Result.LEFT : goal == Goal.NEW ? Result.FINISHED : Result.ROLLED_BACK;
    return new RecoveredPatch(entry, result, foreign);
  }

  /**
   * A patch that stands whole is finished; what else was cut off goes back to what was before, and
   * so do breakpoints that nobody takes the traps of.
   */
  private static Goal goal(LedgerEntry entry, ImmutableList<CodeBytes> found) {
    boolean stands = !CompiledPlan.stays(plan(entry));
    for (int i = 0; i < found.size(); i++) {
      Poke poke = plan(entry).pokes().get(i);
      stands &=
          FoundSite.of(entry.plan().trapByte(), poke, found.get(i)).state() == FoundSite.State.NEW;
    }
    return stands && entry.progress().state() != State.REVERTING ? Goal.NEW : Goal.OLD;
  }

  private static Poke poke(FoundSite site, Goal goal) {
    Poke poke = site.poke();
    CodeBytes bytes = goal == Goal.NEW ? poke.replacement() : poke.site().bytes();
    int length = goal == Goal.NEW ? poke.newLength() : poke.oldLength();
    return new Poke(
        new Site(poke.address(), site.found()),
        poke.length(),
        bytes,
        length,
        new TrapAction.Rewind(),
        // Never lost: a site that threads may stand in is not one of one instruction.
        goal == Goal.NEW ? poke.oldInterior() : poke.newInterior(),
        goal == Goal.NEW ? poke.newInterior() : poke.oldInterior());
  }
}
