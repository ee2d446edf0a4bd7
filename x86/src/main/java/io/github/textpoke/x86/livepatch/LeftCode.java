package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Range;
import com.google.common.collect.RangeSet;
import com.google.common.collect.TreeRangeSet;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.x86.decode.WitnessedDecoder;
import io.github.textpoke.x86.detour.Gates;
import java.util.List;

/** The code that no thread may be in when a live patch is enabled or disabled. */
final class LeftCode {
  private final FunctionParts parts = new FunctionParts(WitnessedDecoder.best());
  private final RangeSet<Long> code = TreeRangeSet.create();

  /**
   * The functions that are replaced: with their parts, what of them runs out of line, and where
   * other live patches have replaced them already, the whole code of those.
   *
   * @param below the live patches that are enabled
   */
  ImmutableList<Extent> whenEnabled(GateAreas gates, List<LoadedPatch> below) {
    for (Gates.Function function : gates.functions()) {
      parts.of(function.code(), function.object()).forEach(this::add);
      add(function.copy());
      for (LoadedPatch other : below) {
        if (other.at(function.address()).isPresent()) {
          other.notes().text().forEach(this::addWithStart);
          for (PatchNotes.GateArea area : other.notes().gates()) {
            // What the other one has displaced runs there.
            add(area.memory());
          }
        }
      }
    }
    return extents();
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
