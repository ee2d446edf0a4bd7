package io.github.textpoke.x86.plan;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.decode.Decoded;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.decode.InstructionDecoder;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.PokeIndex;
import java.util.OptionalLong;

/** The rules between the pokes of one batch, beyond those of the protocol. */
final class BatchRules {
  private final InstructionDecoder decoder;

  BatchRules(InstructionDecoder decoder) {
    this.decoder = decoder;
  }

  /** Refuses a batch in which a new branch leads behind the first byte of a site. */
  void check(PatchPlan batch) {
    PokeIndex sites = new PokeIndex(batch.pokes());
    for (Poke poke : batch.pokes()) {
      CodeRegion fresh = CodeRegion.of("replacement", poke.address(), poke.replacement());
      long decoded = decoder.decode(fresh, 0);
      if (!Decoded.isDecoded(decoded)) {
        throw Rules.WINDOW.refusal(
            poke.address(),
            poke.replacement().hex(),
            "the new bytes are no instruction: " + Decoded.reason(decoded).words(),
            "make the plans of a batch with a planner");
      }
      OptionalLong target = Instruction.of(fresh, 0, decoded).directTarget();
      if (target.isEmpty()) {
        continue;
      }
      int hit = sites.holding(target.getAsLong(), 1);
      if (hit >= 0 && batch.pokes().get(hit).address() != target.getAsLong()) {
        throw Rules.BATCH.refusal(
            poke.address(),
            Reading.text(decoder, fresh, 0),
            "it leads behind the first byte of another site of the batch, "
                + batch.pokes().get(hit).site(),
            "choose another target, or leave one of the two out");
      }
    }
  }
}
