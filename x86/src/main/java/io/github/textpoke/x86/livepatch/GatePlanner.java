package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.apply.TurnSwitch;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.x86.detour.Gates;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The gates through which a live patch is enabled: those that stand already, where they lead to
 * what must be led to now, else new ones. Gates in memory are never written again, since a thread
 * may be in them.
 */
final class GatePlanner {
  private final LivePatches patches;
  private final LoadedPatch patch;
  private final ObjectMemory memory;

  GatePlanner(LivePatches patches, LoadedPatch patch) {
    this.patches = patches;
    this.patch = patch;
    this.memory = patches.memory();
  }

  /**
   * Gates to enable it by.
   *
   * @param ready as they were planned last, if they were
   * @param below the live patches that are enabled
   */
  GateAreas gates(@Nullable GateAreas ready, List<LoadedPatch> below) {
    PatchNotes notes = patch.notes();
    Map<String, ImmutableList<Gates.Way>> ways = ways(notes, below);
    if (ready != null && leads(ready, ways) && ready.fit(memory)) {
      return ready;
    }
    ImmutableList.Builder<GateAreas.Area> areas = ImmutableList.builder();
    boolean isSame = true;
    for (Map.Entry<String, ImmutableList<Gates.Way>> object : ways.entrySet()) {
      ImageInMemory image = image(object.getValue());
      GateAreas.Area area = area(notes, object.getKey(), image, object.getValue());
      isSame &= notes.gates().contains(area.notes());
      areas.add(area);
    }
    GateAreas gates = new GateAreas(areas.build());
    if (!isSame) {
      note(notes, gates);
    }
    return gates;
  }

  private static boolean leads(GateAreas ready, Map<String, ImmutableList<Gates.Way>> ways) {
    return ready.areas().size() == ways.size()
        && ready.areas().stream().allMatch(area -> area.ways().equals(ways.get(area.object())));
  }

  private ImageInMemory image(ImmutableList<Gates.Way> ways) {
    return patches.process().resolver().objectAt(patches.process().address(ways.get(0).site()));
  }

  /** One that stands already, if it is the same to the byte; else a new one. */
  private GateAreas.Area area(
      PatchNotes notes, String object, ImageInMemory image, ImmutableList<Gates.Way> ways) {
    for (GateArea known : notes.gates()) {
      if (known.object().equals(object) && known.memory().length() == GateAreas.size(ways.size())) {
        GateAreas.Area again =
            GateAreas.plan(
                patches.detours(),
                object,
                image,
                ways,
                known.memory().start(),
                patch.header().turn());
        if (new GateAreas(ImmutableList.of(again)).standIn(memory)) {
          return again;
        }
      }
    }
    return GateAreas.map(
        memory,
        PatchHeader.name(patch.id()),
        patches.detours(),
        object,
        image,
        ways,
        patch.header().turn());
  }

  private void note(PatchNotes notes, GateAreas gates) {
    Set<GateArea> all = new LinkedHashSet<>(gates.notes());
    all.addAll(notes.gates());
    PatchNotes more = notes.withGates(ImmutableList.copyOf(all));
    if (!patch.header().fits(more)) {
      throw new WrongStateException(
          "live patch %d was enabled over others too often: unload it and load it again"
              .formatted(patch.id()));
    }
    patch.header().setNotes(more);
  }

  /** What is led where, by object: its own functions first, then those that it takes back. */
  private static Map<String, ImmutableList<Gates.Way>> ways(
      PatchNotes notes, List<LoadedPatch> below) {
    Map<String, Map<Long, Gates.Way>> ways = new LinkedHashMap<>();
    List<PatchedObject> described = notes.patch().objects();
    for (int i = 0; i < described.size(); i++) {
      // Of several areas of one object the newest comes first, and each holds its own functions.
      PatchedObject object = described.get(i);
      GateArea area = areaOf(notes, i);
      Map<Long, Gates.Way> own = ways.computeIfAbsent(area.object(), name -> new LinkedHashMap<>());
      for (int k = 0; k < object.functions().size(); k++) {
        Led led = area.functions().get(k);
        own.put(led.address(), new Gates.Way(led.site(), led.replacement()));
      }
    }
    if (notes.patch().replaces()) {
      for (LoadedPatch other : below) {
        for (GateArea area : current(other.notes())) {
          for (Led led : area.functions()) {
            ways.computeIfAbsent(area.object(), name -> new LinkedHashMap<>())
                .computeIfAbsent(
                    led.address(),
                    address -> new Gates.Way(led.site(), bottom(address, below, led)));
          }
        }
      }
    }
    Map<String, ImmutableList<Gates.Way>> lists = new LinkedHashMap<>();
    ways.forEach((object, own) -> lists.put(object, ImmutableList.copyOf(own.values())));
    return lists;
  }

  /** The newest area of the i-th object: the notes keep the order of the objects. */
  private static GateArea areaOf(PatchNotes notes, int i) {
    return current(notes).get(i);
  }

  /** The newest area of each object, in the order of the objects. */
  static ImmutableList<GateArea> current(PatchNotes notes) {
    Map<String, GateArea> newest = new LinkedHashMap<>();
    notes.gates().forEach(area -> newest.putIfAbsent(area.object(), area));
    return ImmutableList.copyOf(newest.values());
  }

  /** Where a function runs as it did before any of the live patches: below all their gates. */
  private static long bottom(long address, List<LoadedPatch> below, Led any) {
    return below.stream()
        .flatMap(other -> other.at(address).stream())
        .map(Led::original)
        .filter(original -> below.stream().noneMatch(other -> isGate(other, original)))
        .findFirst()
        .orElse(any.original());
  }

  private static boolean isGate(LoadedPatch other, long address) {
    // The copies of what was displaced lie in the gates' memory too, behind each entry stub.
    return other.notes().gates().stream()
        .anyMatch(
            area ->
                area.memory().contains(address)
                    && (address - area.memory().start()) % Gates.SIZE == 0);
  }

  /** The gates that it is enabled by, and others of its own. */
  ImmutableList<TurnSwitch.Gate> standing() {
    long turn = patch.header().turn();
    ImmutableList.Builder<TurnSwitch.Gate> gates = ImmutableList.builder();
    for (GateArea area : patch.notes().gates()) {
      CodeBytes code = memory.read(area.memory().start(), area.functions().size() * Gates.SIZE);
      for (int i = 0; i < area.functions().size(); i++) {
        Led led = area.functions().get(i);
        gates.add(
            Gates.gate(
                area.memory().start() + (long) i * Gates.SIZE,
                code.slice(i * Gates.SIZE, (i + 1) * Gates.SIZE),
                turn,
                led.original(),
                led.replacement()));
      }
    }
    return gates.build();
  }
}
