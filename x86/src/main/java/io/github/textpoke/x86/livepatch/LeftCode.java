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
   * The functions that are replaced: with their parts, what of them runs out of line, and where
   * other live patches replace them, the whole code of those.
   *
   * @param led the gates by which the live patch is enabled
   * @param own all gates of it, the former ones too
   * @param overlapping other live patches that have a function in common with it; that of a
   *     disabled one runs no more, but what it has displaced does
   */
  static ImmutableList<Extent> whenEnabled(
      FunctionParts parts, List<GateArea> led, List<GateArea> own, List<LoadedPatch> overlapping) {
    LeftCode left = new LeftCode();
    led.forEach(area -> parts.of(area).forEach(left::add));
    for (GateArea area : own) {
      for (int i = 0; i < area.functions().size(); i++) {
        left.add(Gates.copy(area.memory().start() + (long) i * Gates.SIZE));
      }
    }
    for (LoadedPatch other : overlapping) {
      PatchNotes notes = other.notes();
      if (other.state() == PatchState.ENABLED
          && led.stream()
              .flatMap(area -> area.functions().stream())
              .map(Led::address)
              .anyMatch(address -> notes.at(address).isPresent())) {
        notes.text().forEach(left::addWithStart);
      }
      notes.gates().forEach(area -> left.add(area.memory()));
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
