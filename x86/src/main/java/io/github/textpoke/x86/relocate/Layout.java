package io.github.textpoke.x86.relocate;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSortedMap;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.decode.Instruction;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Insertion;
import io.github.textpoke.x86.relocate.OutOfLineCopy.Stretch;
import io.github.textpoke.x86.relocate.Relocator.Moved;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The parts of a copy, each at its address. */
final class Layout {
  private static final CodeBytes JUMP = CodeBytes.of(0xe9, 0, 0, 0, 0);

  /**
   * A part where it will stand.
   *
   * @param old the displaced instruction that it belongs to; the last one for the jump back
   * @param oldAddress that instruction's, or that behind the site for the jump back
   */
  private record Placed(Part part, long address, Instruction old, long oldAddress) {
    long end() {
      return address + part.bytes().length();
    }
  }

  private final DisplacedCode code;
  private final long address;
  private final List<Placed> parts = new ArrayList<>();
  private final Map<Long, Long> boundaries = new TreeMap<>(Long::compareUnsigned);
  private int length;

  private Layout(DisplacedCode code, long address) {
    this.code = code;
    this.address = address;
  }

  /**
   * Places all of {@code code} from {@code address} on.
   *
   * @param copied as for {@link OutOfLineCopy#of}
   * @param inserted likewise
   * @throws PlanRefusedException if an instruction can't be moved
   */
  static Layout of(
      DisplacedCode code, long address, Map<Long, Long> copied, Map<Long, Insertion> inserted) {
    Layout layout = new Layout(code, address);
    Relocator relocator = new Relocator(code, copied);
    boolean goesOn = true;
    for (Instruction old : code.instructions()) {
      Insertion insertion = inserted.get(old.address());
      Moved moved =
          insertion == null
              ? relocator.move(old)
              : relocator.moveBehind(old, insertion, layout.end());
      layout.boundaries.put(old.address(), layout.end());
      moved.parts().forEach(part -> layout.place(part, old, old.address()));
      goesOn = moved.goesOn();
    }
    if (goesOn) {
      layout.place(new Part.ToAddress(JUMP, 1, code.end(), 0), code.last(), code.end());
    }
    return layout;
  }

  private void place(Part part, Instruction old, long oldAddress) {
    parts.add(new Placed(part, end(), old, oldAddress));
    length += part.bytes().length();
  }

  /** The address behind the last part. */
  long end() {
    return address + length;
  }

  ImmutableSortedMap<Long, Long> boundaries() {
    return ImmutableSortedMap.copyOf(boundaries, Long::compareUnsigned);
  }

  /**
   * The bytes of the copy.
   *
   * @throws PlanRefusedException by rule 13 if something is out of reach
   */
  CodeBytes bytes() {
    CodeBytes bytes = CodeBytes.EMPTY;
    for (Placed placed : parts) {
      bytes = bytes.concat(placed.part().at(new Reach(placed)));
    }
    return bytes;
  }

  ImmutableList<Stretch> stretches() {
    List<Stretch> stretches = new ArrayList<>();
    for (Placed placed : parts) {
      Stretch next =
          new Stretch(
              placed.address(),
              placed.part().bytes().length(),
              placed.oldAddress(),
              placed.part().pushed());
      int last = stretches.size() - 1;
      if (last >= 0 && stretches.get(last).isContinuedBy(next)) {
        stretches.set(last, stretches.get(last).and(next));
      } else {
        stretches.add(next);
      }
    }
    return ImmutableList.copyOf(stretches);
  }

  /** What a part reaches from where it stands. */
  private final class Reach implements Part.Displacements {
    private final Placed from;

    Reach(Placed from) {
      this.from = from;
    }

    @Override
    public CodeBytes toAddress(long target) {
      long distance = target - from.end();
      if (distance != (int) distance) {
        throw code.refusal(
            13,
            from.old(),
            "0x%x is more than 2 GiB %s the copy at 0x%x: its displacement does not fit 32 bits"
                .formatted(target, distance < 0 ? "below" : "above", from.address()),
            "put the copy nearer to the site");
      }
      return Return.dword((int) distance);
    }

    @Override
    public CodeBytes toCopyOf(long boundary) {
      Long copy = boundaries.get(boundary);
      if (copy == null) {
        throw new IllegalStateException("no boundary: 0x" + Long.toHexString(boundary));
      }
      return toAddress(copy);
    }
  }
}
