package io.github.textpoke.x86.livepatch;

import com.google.common.base.Suppliers;
import io.github.textpoke.PatchException;
import io.github.textpoke.apply.PatchStatus;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.ledger.Progress;
import io.github.textpoke.plan.FoundSite;
import io.github.textpoke.plan.Poke;
import io.github.textpoke.process.SiteResolver;
import io.github.textpoke.x86.livepatch.PatchNotes.GateArea;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * Patched objects that the program has unloaded. Their code is gone, and with it what led to the
 * gates; the gates themselves lie in memory of ours, and stay. Of one look, while nobody else
 * patches.
 */
final class GoneObjects {
  private final LivePatches patches;
  private final SiteResolver resolver;
  private final String executable;

  /** Read where it is needed: it is a look at every site. */
  private final Supplier<Standing> standing;

  /**
   * What stands.
   *
   * @param oldest at the sites that patches stand at, what the first of them has found
   * @param newest what stands there now
   */
  private record Standing(
      List<PatchStatus> patches, Map<Long, FoundSite> oldest, Map<Long, FoundSite> newest) {
    static Standing in(TargetProcess process) {
      List<PatchStatus> patches =
          process.status().patches().stream()
              .filter(status -> status.state() != PatchStatus.State.RETIRED)
              .toList();
      Map<Long, FoundSite> oldest = new TreeMap<>();
      Map<Long, FoundSite> newest = new TreeMap<>();
      for (PatchStatus status : patches) {
        for (FoundSite site : status.sites()) {
          oldest.putIfAbsent(site.poke().address(), site);
          newest.put(site.poke().address(), site);
        }
      }
      return new Standing(patches, oldest, newest);
    }
  }

  GoneObjects(LivePatches patches) {
    TargetProcess process = patches.process();
    this.patches = patches;
    this.resolver = process.resolver();
    this.executable = TargetObject.executable(process.pid());
    this.standing = Suppliers.memoize(() -> Standing.in(process));
  }

  /** Whether the object of some gates is loaded where it was. */
  static boolean isThere(SiteResolver resolver, GateArea area) {
    try {
      return resolver
          .objectOf(area.functions().get(0).address())
          .filter(image -> image.bias() == area.bias())
          .filter(image -> image.image().buildId().orElse("").equals(area.buildId()))
          .isPresent();
    } catch (PatchException unreadable) {
      // Something else is mapped there, or a file that was replaced: not what we have seen.
      return false;
    }
  }

  private boolean isNoted(GateArea area) {
    return standing.get().patches().stream().anyMatch(status -> leads(status, area));
  }

  private static boolean leads(PatchStatus status, GateArea area) {
    return status.entry().note().detour().stream()
        .flatMap(detour -> detour.bypass().pokes().stream())
        .anyMatch(poke -> area.memory().contains(poke.address()));
  }

  /**
   * Has the ledger forget what is gone.
   *
   * @return whether anything was
   */
  boolean retire() {
    List<GateArea> gone = new ArrayList<>();
    for (LoadedPatch patch : patches.inCommand()) {
      for (GateArea area : patch.notes().gates()) {
        // The executable is there to the end.
        if (area.object().equals(executable) || !isNoted(area)) {
          continue;
        }
        if (!isThere(resolver, area) || isAnother(area)) {
          gone.add(area);
        }
      }
    }
    if (gone.isEmpty()) {
      return false;
    }
    List<NavigableMap<Long, Long>> functions = gone.stream().map(GoneObjects::functions).toList();
    Set<Long> sites = new LinkedHashSet<>();
    standing
        .get()
        .newest()
        .forEach(
            (address, site) -> {
              if (site.state() != FoundSite.State.NEW
                  && functions.stream().anyMatch(inArea -> isIn(inArea, address))) {
                sites.add(address);
              }
            });
    patches
        .process()
        .retire(
            address ->
                sites.contains(address)
                    || gone.stream().anyMatch(area -> area.memory().contains(address)));
    return true;
  }

  /** Start and end of the functions that are led. */
  private static NavigableMap<Long, Long> functions(GateArea area) {
    NavigableMap<Long, Long> functions = new TreeMap<>();
    area.functions().forEach(led -> functions.put(led.address(), led.address() + led.length()));
    return functions;
  }

  private static boolean isIn(NavigableMap<Long, Long> functions, long address) {
    Map.Entry<Long, Long> before = functions.floorEntry(address);
    return before != null && address < before.getValue();
  }

  /** Whether the object was loaded anew at the same place: there stands what stood before us. */
  private boolean isAnother(GateArea area) {
    NavigableMap<Long, Long> functions = functions(area);
    return standing.get().patches().stream()
        .filter(status -> isSettled(status) && leads(status, area))
        .flatMap(status -> status.entry().plan().pokes().stream())
        .map(Poke::address)
        .filter(address -> isIn(functions, address))
        .anyMatch(this::isAsBefore);
  }

  /** What was cut off may have gone back by itself; bytes do not tell that from a new object. */
  private static boolean isSettled(PatchStatus status) {
    Progress.State state = status.entry().progress().state();
    return state == Progress.State.APPLIED || state == Progress.State.BYPASSED;
  }

  private boolean isAsBefore(long address) {
    FoundSite first = standing.get().oldest().get(address);
    FoundSite last = standing.get().newest().get(address);
    return first != null
        && last != null
        && last.state() != FoundSite.State.NEW
        && patches
            .memory()
            .read(address, first.poke().length())
            .equals(first.poke().site().bytes());
  }
}
