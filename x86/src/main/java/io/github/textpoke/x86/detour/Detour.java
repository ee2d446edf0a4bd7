package io.github.textpoke.x86.detour;

import io.github.textpoke.PatchException;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.Patch;

/**
 * A detour that stands in a target, until it is reverted. Thread-safe. It outlives its {@link
 * io.github.textpoke.apply.TargetProcess}: closing that leaves it in place, and any JVM can revert
 * it by its number.
 */
public final class Detour {
  private final Patch patch;
  private final long original;

  Detour(Patch patch, long original) {
    this.patch = patch;
    this.original = original;
  }

  /**
   * The absolute address at which the function runs as it did before this detour: with the same
   * arguments, called as the function is. It stays valid as long as the target has the detour, and
   * after that for calls that have begun.
   */
  public long original() {
    return original;
  }

  /** The patch that it is. */
  public Patch patch() {
    return patch;
  }

  /** Its number in the target. */
  public long id() {
    return patch.id();
  }

  /**
   * Takes it back. Detours of one function may be reverted in any order: one over which others
   * stand is led past, and its bytes go with the last of those.
   *
   * @throws PatchException as {@link Patch#revert}
   */
  public ApplyReport revert() {
    return patch.revert();
  }
}
