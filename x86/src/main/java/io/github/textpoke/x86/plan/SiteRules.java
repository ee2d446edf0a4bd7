package io.github.textpoke.x86.plan;

import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.CodeRegion.Backing;
import io.github.textpoke.decode.Decoded;

/** The rules that a site must keep, whatever shall stand there. */
final class SiteRules {
  private final Reading reading;
  private final RseqSections rseq;

  SiteRules(Reading reading, RseqSections rseq) {
    this.reading = reading;
    this.rseq = rseq;
  }

  /**
   * The old code at {@code address}, if it may be touched.
   *
   * @throws PlanRefusedException by rule 1, 6, 9, 14, 15, 16, 18 or 19
   */
  OldCode check(long address) {
    checkPrivate(address);
    OldCode old = OldCode.at(reading, address);
    checkKind(old);
    checkShadow(old);
    checkRseq(old);
    new BranchTargets(reading).checkNoneInside(old.site());
    return old;
  }

  /**
   * Refuses what lies in a restartable sequence that the planner was told of.
   *
   * @throws PlanRefusedException by rule 16
   */
  void checkRseq(OldCode old) {
    rseq.obstacle(old.site().address(), old.site().end())
        .ifPresent(
            obstacle -> {
              throw refusal(Rules.RSEQ, old, obstacle, "choose a site outside of it");
            });
  }

  /** A refusal of what stands at the site. */
  PlanRefusedException refusal(Rules rule, OldCode old, String reason, String remedy) {
    long address = old.site().address();
    return rule.refusal(address, reading.text(reading.code().offsetOf(address)), reason, remedy);
  }

  private void checkPrivate(long address) {
    CodeRegion code = reading.code();
    if (code.backing() == Backing.SHARED) {
      throw Rules.PRIVATE_ONLY.refusal(
          address,
          "",
          code.name()
              + " is mapped shared: a write would change the file and every process that maps it",
          "patch through the writable mapping that the program itself uses, if it has one");
    }
  }

  private void checkKind(OldCode old) {
    switch (old.before().flow()) {
      case LANDING_PAD ->
          throw refusal(
              Rules.LANDING_PAD,
              old,
              "endbr64 must stay: without it an indirect call to this place faults where indirect"
                  + " branch tracking is on",
              "use the instruction behind it, at 0x%x (+%d)"
                  .formatted(old.before().end(), old.before().length()));
      case SYSTEM_CALL, INTERRUPT ->
          throw refusal(
              Rules.SPECIAL,
              old,
              "a thread that sleeps in this system call is sent back to its start when the kernel"
                  + " restarts it, and would run the new bytes with the call's registers",
              "use the instruction before or behind it, or a function around it");
      case TRANSACTION ->
          throw refusal(
              Rules.SPECIAL,
              old,
              "xbegin starts a transaction that other code ends",
              "use the entry of the function");
      case BREAKPOINT ->
          throw refusal(
              Rules.BREAKPOINTS,
              old,
              "a breakpoint stands there that is not ours",
              "remove it with the debugger or probe that set it");
      case NEXT,
          NOP,
          JUMP,
          CONDITIONAL_JUMP,
          COUNTER_JUMP,
          CALL,
          INDIRECT_JUMP,
          INDIRECT_CALL,
          RETURN,
          FAR,
          FAULT -> {}
    }
  }

  private void checkShadow(OldCode old) {
    if (Decoded.blocksInterrupts(old.previous())) {
      throw refusal(
          Rules.SPECIAL,
          old,
          "the instruction before it loads ss and delays traps until this one has run",
          "use the instruction behind it, at 0x%x".formatted(old.before().end()));
    }
  }
}
