package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.PatchException;
import io.github.textpoke.apply.Patch;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;

/**
 * What leads to the gates of a live patch: patches in the ledger, one, or more where objects have
 * come since. While nobody else patches the process.
 */
final class Leading {
  private final LivePatches patches;
  private final TargetProcess process;
  private final PatchHeader header;
  private final long id;
  private final LivePatch description;

  Leading(LivePatches patches, PatchHeader header, long id, LivePatch description) {
    this.patches = patches;
    this.process = patches.process();
    this.header = header;
    this.id = id;
    this.description = description;
  }

  private String labelStart() {
    return "live patch " + id + ": ";
  }

  private String label() {
    return labelStart() + description.name() + " " + description.version();
  }

  /** The newest first. */
  ImmutableList<Patch> standing() {
    return process.patches().stream()
        .filter(patch -> patch.id() != 0 && patch.label().startsWith(labelStart()))
        .collect(ImmutableList.toImmutableList())
        .reverse();
  }

  /** The gates of it to which entries of functions lead, by what the ledger says. */
  ImmutableList<GateArea> led() {
    // Not a HashMap: to that, addresses with a stride are much the same.
    ImmutableSet<Long> gates =
        standing().stream()
            .flatMap(patch -> patch.bypass().stream())
            .flatMap(bypass -> bypass.pokes().stream())
            .map(Poke::address)
            .collect(ImmutableSet.toImmutableSet());
    return header.notes().orElseThrow().gates().stream()
        .filter(area -> gates.contains(area.memory().start()))
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * Leads to gates, in one batch. The turn says what runs.
   *
   * @param gates at least one
   * @throws PatchException of the type that names the cause
   */
  void lead(GateAreas gates) {
    bind(gates);
    process.apply(gates.plan(), gates.bypass(), label());
    renumber();
  }

  /** What its functions use of objects that come, before any of them runs. */
  private void bind(GateAreas gates) {
    PatchNotes notes = header.notes().orElseThrow();
    if (!notes.late().isEmpty()) {
      gates
          .areas()
          .forEach(
              area ->
                  LateSymbols.bind(
                      notes, area.object(), process.resolver().scope(), patches.memory()));
    }
  }

  /**
   * Takes back what leads to the gates, unless another patch stands over that.
   *
   * @return whether there was anything to take back
   */
  boolean takeBack() {
    boolean isAny = false;
    for (Patch patch : standing()) {
      if (!patch.isCovered()) {
        patch.revert();
        isAny = true;
      }
    }
    renumber();
    return isAny;
  }

  /** The ledger has another number for what is left of a patch, or for what has come to it. */
  void renumber() {
    header.setPatch(standing().stream().mapToLong(Patch::id).max().orElse(0));
  }
}
