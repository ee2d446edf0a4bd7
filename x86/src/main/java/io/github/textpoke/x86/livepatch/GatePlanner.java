package io.github.textpoke.x86.livepatch;

import com.google.common.base.Suppliers;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.apply.ObjectMemory;
import io.github.textpoke.apply.TurnSwitch;
import io.github.textpoke.process.ImageInMemory;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.detour.Gates;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import io.github.textpoke.x86.livepatch.PatchNotes.Led;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The gates through which a live patch is enabled: those that stand already, where they lead to
 * what must be led to now, else new ones. Gates in memory are never written again, since a thread
 * may be in them. For one plan.
 */
final class GatePlanner {
  private final LivePatches patches;
  private final LoadedPatch patch;
  private final ObjectMemory memory;

  /** The objects that are loaded at the first look: one plan is of one moment. */
  private final Supplier<SiteResolver> loaded;

  GatePlanner(LivePatches patches, LoadedPatch patch) {
    this.patches = patches;
    this.patch = patch;
    this.memory = patches.memory();
    this.loaded = Suppliers.memoize(() -> patches.process().resolver());
  }

  /**
   * Gates to enable it by.
   *
   * @param ready as they were planned last, if they were
   * @param led those that entries of functions lead to, below other live patches
   * @param below the live patches that are enabled, or may be when it is to be
   */
  GateAreas gates(@Nullable GateAreas ready, ImmutableList<GateArea> led, List<LoadedPatch> below) {
    PatchNotes notes = patch.notes();
    Map<String, ImmutableList<Gates.Way>> ways = ways(notes, below);
    return gates(ready, led, notes, ways);
  }

  /**
   * Gates for the objects that are loaded now and whose functions are not led yet. It takes nothing
   * back from others there: those are not enabled.
   *
   * @param led those whose functions are led
   */
  GateAreas come(ImmutableList<GateArea> led) {
    PatchNotes notes = patch.notes();
    Map<String, ImmutableList<Gates.Way>> ways = new LinkedHashMap<>(ways(notes, List.of()));
    led.forEach(area -> ways.remove(area.object()));
    return gates(null, led, notes, ways);
  }

  private GateAreas gates(
      @Nullable GateAreas ready,
      ImmutableList<GateArea> led,
      PatchNotes notes,
      Map<String, ImmutableList<Gates.Way>> ways) {
    if (ready != null && leads(ready, ways) && ready.fit(memory)) {
      return ready;
    }
    ImmutableList.Builder<GateAreas.Area> areas = ImmutableList.builder();
    boolean isSame = true;
    for (Map.Entry<String, ImmutableList<Gates.Way>> object : ways.entrySet()) {
      ImageInMemory image = image(object.getValue());
      GateAreas.Area area = area(notes, led, object.getKey(), image, object.getValue());
      isSame &= notes.gates().contains(area.notes());
      areas.add(area);
    }
    GateAreas gates = new GateAreas(areas.build());
    if (!isSame) {
      note(notes, gates);
    }
    return gates;
  }

  /**
   * The newest gates of the patch, if all that must be led is led to them; else none.
   *
   * @param led those that entries of functions lead to
   * @param below the live patches that are enabled
   */
  Optional<ImmutableList<GateArea>> led(ImmutableList<GateArea> led, List<LoadedPatch> below) {
    PatchNotes notes = patch.notes();
    ImmutableList<GateArea> current = current(notes);
    for (Map.Entry<String, ImmutableList<Gates.Way>> object : ways(notes, below).entrySet()) {
      boolean isLed =
          current.stream()
              .filter(area -> area.object().equals(object.getKey()))
              .anyMatch(area -> led.contains(area) && ways(area).containsAll(object.getValue()));
      if (!isLed) {
        return Optional.empty();
      }
    }
    return Optional.of(current);
  }

  private static ImmutableSet<Gates.Way> ways(GateArea area) {
    return area.functions().stream()
        .map(led -> new Gates.Way(led.site(), led.replacement()))
        .collect(ImmutableSet.toImmutableSet());
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
      PatchNotes notes,
      ImmutableList<GateArea> led,
      String object,
      ImageInMemory image,
      ImmutableList<Gates.Way> ways) {
    for (GateArea known : notes.gates()) {
      // One of an object that has gone leads to code at its old place; its memory is ours still.
      if (!led.contains(known)
          && known.object().equals(object)
          && known.bias() == image.bias()
          && known.memory().length() == GateAreas.size(ways.size())) {
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
  private Map<String, ImmutableList<Gates.Way>> ways(PatchNotes notes, List<LoadedPatch> below) {
    Map<String, Map<Long, Gates.Way>> ways = new LinkedHashMap<>();
    int next = 0;
    for (PatchedObject object : notes.patch().objects()) {
      List<Long> replacements =
          notes.replacements().subList(next, next + object.functions().size());
      own(notes, object, replacements).ifPresent(own -> ways.put(name(object), own));
      next += object.functions().size();
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

  private String name(PatchedObject object) {
    return TargetObject.name(patches.process(), object);
  }

  /** The functions of one object, by address; empty where it is not loaded. */
  private Optional<Map<Long, Gates.Way>> own(
      PatchNotes notes, PatchedObject object, List<Long> replacements) {
    String name = name(object);
    Optional<GateArea> known =
        current(notes).stream().filter(area -> area.object().equals(name)).findFirst();
    Map<Long, Gates.Way> own = new LinkedHashMap<>();
    if (known.isPresent()) {
      // Each area holds its own functions first.
      for (int k = 0; k < replacements.size(); k++) {
        Led led = known.get().functions().get(k);
        own.put(led.address(), new Gates.Way(led.site(), replacements.get(k)));
      }
      return Optional.of(own);
    }
    Optional<TargetObject> found = TargetObject.find(patches.process(), object);
    if (found.isEmpty()) {
      return Optional.empty();
    }
    for (int k = 0; k < replacements.size(); k++) {
      String site = found.get().sites().get(k);
      own.put(patches.process().address(site), new Gates.Way(site, replacements.get(k)));
    }
    return Optional.of(own);
  }

  /** The newest area of each object that is loaded where it was. */
  private ImmutableList<GateArea> current(PatchNotes notes) {
    Map<String, GateArea> newest = new LinkedHashMap<>();
    notes.gates().stream()
        .filter(area -> GoneObjects.isThere(loaded.get(), area))
        .forEach(area -> newest.putIfAbsent(area.object(), area));
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
