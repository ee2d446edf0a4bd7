package io.github.textpoke.x86.livepatch;

import com.google.common.base.Suppliers;
import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.NoRoomException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.apply.ObjectSegment;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.detour.Detours;
import io.github.textpoke.x86.detour.Gates;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import io.github.textpoke.x86.plan.X86Planner;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The gates of a live patch, one area for each patched object, and the plan that leads to all of
 * them. Immutable.
 */
final class GateAreas {
  private static final int PAGE = 4096;

  /** Bytes that are read at once, at most; all of an object's functions lie in one mapping. */
  private static final int READ = 1 << 20;

  /** How often a hole that was taken meanwhile is followed by another. */
  private static final int TRIES = 16;

  private final ImmutableList<Area> areas;
  private final Supplier<PatchPlan> plan =
      Suppliers.memoize(() -> merged(plans(gates -> gates.plan())));
  private final Supplier<PatchPlan> bypass =
      Suppliers.memoize(() -> merged(plans(gates -> gates.bypass())));

  /**
   * @param areas in the order of the objects
   */
  GateAreas(ImmutableList<Area> areas) {
    this.areas = areas;
  }

  /**
   * Those of one object.
   *
   * @param object base name of its file
   * @param image it in memory
   * @param ways what is led where
   * @param at absolute address of the gates
   */
  record Area(
      String object, ImageInMemory image, ImmutableList<Gates.Way> ways, long at, Gates gates) {
    Extent memory() {
      return new Extent(at, size(ways.size()));
    }

    ObjectSegment segment() {
      return new ObjectSegment(
          at, size(ways.size()), ObjectSegment.Access.READ_EXECUTE, gates.code());
    }

    GateArea notes() {
      ImmutableList.Builder<Led> led = ImmutableList.builder();
      for (int i = 0; i < ways.size(); i++) {
        Gates.Function function = gates.functions().get(i);
        led.add(
            new Led(
                ways.get(i).site(),
                function.address(),
                function.code().bytes().length(),
                function.replacement(),
                function.original()));
      }
      return new GateArea(
          object, image.bias(), image.image().buildId().orElse(""), memory(), led.build());
    }
  }

  /** Bytes that the gates of so many functions take, whole pages. */
  static long size(int functions) {
    return ((long) functions * Gates.SIZE + PAGE - 1) & -PAGE;
  }

  /** Plans the gates of one object for a place. */
  static Area plan(
      Detours detours,
      String object,
      ImageInMemory image,
      ImmutableList<Gates.Way> ways,
      long at,
      long turn) {
    return new Area(object, image, ways, at, detours.gates(ways, at, turn));
  }

  /**
   * Room that touches no other mapping: the end of one, to which the loader and others keep
   * pointers, must not look like a pointer to ours.
   */
  static long roomApart(ObjectMemory memory, ImageInMemory image, long size) {
    return memory.room(image.start(), image.end(), PAGE + size + PAGE) + PAGE;
  }

  /** Plans the gates of one object, and maps them where there is room. */
  static Area map(
      ObjectMemory memory,
      String name,
      Detours detours,
      String object,
      ImageInMemory image,
      ImmutableList<Gates.Way> ways,
      long turn) {
    for (int i = 0; ; i++) {
      long at = roomApart(memory, image, size(ways.size()));
      Area area = plan(detours, object, image, ways, at, turn);
      if (memory.map(name, ImmutableList.of(area.segment()))) {
        return area;
      }
      if (i == TRIES) {
        throw new NoRoomException(image.start(), "each hole was taken by the program meanwhile");
      }
    }
  }

  /** One plan for all; there must be an area. */
  PatchPlan plan() {
    return plan.get();
  }

  /** Past all gates; there must be an area. */
  PatchPlan bypass() {
    return bypass.get();
  }

  private List<PatchPlan> plans(Function<Gates, PatchPlan> of) {
    return areas.stream().map(area -> of.apply(area.gates())).toList();
  }

  ImmutableList<Area> areas() {
    return areas;
  }

  private static PatchPlan merged(List<PatchPlan> plans) {
    if (plans.size() == 1) {
      return plans.get(0);
    }
    ImmutableList<Poke> pokes =
        plans.stream()
            .flatMap(plan -> plan.pokes().stream())
            .collect(ImmutableList.toImmutableList());
    return PatchPlan.of(X86Planner.INT3, pokes);
  }

  ImmutableList<GateArea> notes() {
    return areas.stream().map(Area::notes).collect(ImmutableList.toImmutableList());
  }

  /** Whether these stand in memory as they would be made now. */
  boolean standIn(ObjectMemory memory) {
    return areas.stream()
        .allMatch(
            area ->
                memory.read(area.at(), area.gates().code().length()).equals(area.gates().code()));
  }

  /** Whether what the plan expects stands at every site. */
  boolean fit(ObjectMemory memory) {
    return areas.stream().allMatch(area -> fits(memory, area.gates().plan().pokes()));
  }

  /** Sites that lie close together are read at once: a thousand reads take their time. */
  private static boolean fits(ObjectMemory memory, ImmutableList<Poke> pokes) {
    for (int i = 0; i < pokes.size(); ) {
      long start = pokes.get(i).address();
      int end = i;
      while (end < pokes.size() && end(pokes.get(end)) - start <= READ) {
        end++;
      }
      CodeBytes code = memory.read(start, (int) (end(pokes.get(end - 1)) - start));
      for (; i < end; i++) {
        Poke poke = pokes.get(i);
        int at = (int) (poke.address() - start);
        if (!code.slice(at, at + poke.length()).equals(poke.site().bytes())) {
          return false;
        }
      }
    }
    return true;
  }

  private static long end(Poke poke) {
    return poke.address() + poke.length();
  }
}
