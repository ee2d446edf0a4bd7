package io.github.textpoke.x86.plan;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.Boundary;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeIndex;
import io.github.textpoke.plan.TrapAction;
import java.util.OptionalLong;

/** The rules between the pokes of one batch, beyond those of the protocol. */
final class BatchRules {
  private final InstructionDecoder decoder;

  BatchRules(InstructionDecoder decoder) {
    this.decoder = decoder;
  }

  /**
   * Refuses a batch in which a new branch leads behind the first byte of a site, or a copy lies in
   * one.
   */
  void check(PatchPlan batch) {
    PokeIndex sites = new PokeIndex(batch.pokes());
    for (Poke poke : batch.pokes()) {
      checkBranch(batch, sites, poke, 0);
      for (Boundary boundary : poke.newInterior()) {
        checkBranch(batch, sites, poke, boundary.offset());
      }
      checkCopy(batch, sites, poke, poke.trapAction());
      for (Boundary boundary : poke.interior()) {
        checkCopy(batch, sites, poke, boundary.trapAction());
      }
    }
  }

  private void checkBranch(PatchPlan batch, PokeIndex sites, Poke poke, int offset) {
    CodeRegion fresh = CodeRegion.of("replacement", poke.address(), poke.replacement());
    long decoded = decoder.decode(fresh, offset);
    if (!Decoded.isDecoded(decoded)) {
      throw Rules.WINDOW.refusal(
          poke.address() + offset,
          poke.replacement().hex(),
          "the new bytes are no instruction: " + Decoded.reason(decoded).words(),
          "make the plans of a batch with a planner");
    }
    OptionalLong target = Instruction.of(fresh, offset, decoded).directTarget();
    if (target.isEmpty()) {
      return;
    }
    int hit = sites.holding(target.getAsLong(), 1);
    if (hit >= 0 && batch.pokes().get(hit).address() != target.getAsLong()) {
      throw Rules.BATCH.refusal(
          poke.address() + offset,
          Reading.text(decoder, fresh, offset),
          "it leads behind the first byte of another site of the batch, "
              + batch.pokes().get(hit).site(),
          "choose another target, or leave one of the two out");
    }
  }

  private static void checkCopy(PatchPlan batch, PokeIndex sites, Poke poke, TrapAction action) {
    if (!(action instanceof TrapAction.Redirect redirect)) {
      return;
    }
    int hit = sites.holding(redirect.address(), 1);
    if (hit >= 0) {
      throw Rules.BATCH.refusal(
          poke.address(),
          poke.site().bytes().hex(),
          "its breakpoint sends threads to 0x%x, in the site %s of the batch"
              .formatted(redirect.address(), batch.pokes().get(hit).site()),
          "put the copy elsewhere, or leave one of the two out");
    }
  }
}
