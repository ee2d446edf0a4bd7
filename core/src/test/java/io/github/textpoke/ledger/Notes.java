package io.github.textpoke.ledger;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.Site;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.plan.TrapAction;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** Notes to record. */
final class Notes {
  static final int INT3 = 0xcc;

  private Notes() {}

  /** Of a patch of {@code sites} sites of five bytes. */
  static PatchNote of(int sites) {
    return labelled("workers:nop_62", sites);
  }

  static PatchNote labelled(String label, int sites) {
    List<Poke> pokes = new ArrayList<>();
    for (int i = 0; i < sites; i++) {
      pokes.add(
          new Poke(
              new Site(0x40_1000 + 16L * i, CodeBytes.ofHex("0f 1f 44 00 00")),
              5,
              CodeBytes.ofHex("e9 11 22 33 44"),
              5,
              new TrapAction.Rewind()));
    }
    return of(label, PatchPlan.of(INT3, pokes));
  }

  static PatchNote of(String label, PatchPlan plan) {
    return new PatchNote(
        Instant.parse("2026-11-21T04:06:51.123Z"),
        "user 0, process 4711 (java)",
        label,
        "stepwise",
        plan);
  }
}
