package io.github.textpoke.x86.detour;

import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.PlanRefusedException;

/** A function to be detoured. Not thread-safe. */
public final class DetourSite {
  private final Detours detours;
  private final String site;
  private final Entry entry;

  DetourSite(Detours detours, String site, Entry entry) {
    this.detours = detours;
    this.site = site;
    this.entry = entry;
  }

  /** The function's name, with its object's. */
  public String name() {
    return entry.code().name();
  }

  /** The absolute address of the function. */
  public long address() {
    return entry.code().address();
  }

  /**
   * Has the function return without running, in the calls that {@code override} says. Counters and
   * clock are the target's own: what it says holds, and ends, also when this JVM is gone.
   *
   * @throws PatchException as {@link #to}; of errno also if the target has no one {@code
   *     __errno_location}, of a duration if the target's clock can't be read
   */
  public Detour returning(ReturnOverride override) {
    if (override.errno().isPresent() || override.duration().isPresent()) {
      // The body saves the vector registers by it.
      Processor.require("xsave", "an override with errno or a duration");
    }
    long errnoLocation = override.errno().isPresent() ? detours.errnoLocation() : 0;
    return detours.apply(
        site,
        new Destination.Override(override, errnoLocation),
        entry.code().name() + " " + override);
  }

  /**
   * Leads every call of the function through code of ours to the function itself: what it costs,
   * and whether the function can be detoured while it runs.
   *
   * @throws PatchException as {@link #to}
   */
  public Detour toItself() {
    return detours.apply(
        site, new Destination.Original(), "detour of " + entry.code().name() + " to itself");
  }

  /**
   * Has each call of the function whose first argument is 0 wait until it was seen.
   *
   * @param label for people, of the patch
   * @throws PatchException as {@link #to}
   */
  public HeldCalls holdingNullCalls(String label) {
    return detours.hold(site, label);
  }

  /**
   * Leads every call of the function to other code, which gets its arguments and returns to its
   * caller.
   *
   * @param address absolute address in the target; executable, anywhere
   * @throws PlanRefusedException if the function can't be detoured, with the rule
   * @throws PatchException of the type that names the cause; its {@link PatchException#outcome}
   *     says whether the target is untouched or was rolled back
   */
  public Detour to(long address) {
    return detours.apply(
        site,
        new Destination.Elsewhere(address),
        "detour of " + entry.code().name() + " to 0x" + Long.toHexString(address));
  }
}
