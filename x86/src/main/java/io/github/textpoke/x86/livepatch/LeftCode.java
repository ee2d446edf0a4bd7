package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Range;
import com.google.common.collect.RangeSet;
import com.google.common.collect.TreeRangeSet;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.x86.detour.Gates;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import java.util.List;

/** The code that no thread may be in when a live patch is enabled or disabled. */
final class LeftCode {
  private final RangeSet<Long> code = TreeRangeSet.create();

  private LeftCode() {}

  /**
   * The functions that are replaced: with their parts, what of them runs out of line, by whichever
   * patch, and where other live patches replace them, the whole code of those.
   *
   * @param led the gates by which the live patch is enabled
   * @param own notes of it
   * @param others the other live patches; the functions of a disabled one run no more, but what it
   *     has displaced does
   */
  static ImmutableList<Extent> whenEnabled(
      LivePatches patches, List<GateArea> led, PatchNotes own, List<LoadedPatch> others) {
    LeftCode left = new LeftCode();
    RangeSet<Long> functions = TreeRangeSet.create();
    for (GateArea area : led) {
      patches.parts().of(area).forEach(left::add);
      for (Led function : area.functions()) {
        functions.add(Range.closedOpen(function.address(), function.address() + function.length()));
      }
    }
    patches.process().broughtTo(functions::contains).forEach(left::add);
    for (LoadedPatch other : others) {
      PatchNotes notes = other.notes();
      if (notes.gates().stream()
          .flatMap(area -> area.functions().stream())
          .map(Led::address)
          .anyMatch(functions::contains)) {
        notes.gates().forEach(area -> left.add(area.memory()));
        if (other.state() == PatchState.ENABLED) {
          notes.text().forEach(left::addWithStart);
        }
      }
    }
    for (GateArea area : own.gates()) {
      for (int i = 0; i < area.functions().size(); i++) {
        left.add(Gates.copy(area.memory().start() + (long) i * Gates.SIZE));
      }
    }
    return left.extents();
  }

  /** All code of the patch's object. */
  static ImmutableList<Extent> whenDisabled(PatchNotes notes) {
    LeftCode left = new LeftCode();
    notes.text().forEach(left::addWithStart);
    return left.extents();
  }

  private void add(Extent extent) {
    code.add(Range.closedOpen(extent.start(), extent.end()));
  }

  /** A thread that was interrupted before the first instruction is in it. */
  private void addWithStart(Extent extent) {
    code.add(Range.closedOpen(extent.start() - 1, extent.end()));
  }

  private ImmutableList<Extent> extents() {
    return code.asRanges().stream()
        .map(
            range ->
                new Extent(range.lowerEndpoint(), range.upperEndpoint() - range.lowerEndpoint()))
        .collect(ImmutableList.toImmutableList());
  }
}
