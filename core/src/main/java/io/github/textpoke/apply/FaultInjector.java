package io.github.textpoke.apply;

import io.github.textpoke.PatchException;
import java.util.Optional;
import java.util.ServiceLoader;

/**
 * Has functions of a target return without running, for one instruction set; found by {@link
 * ServiceLoader}, so that who injects faults need not know the instruction set. Implementations
 * have no state, and are thread-safe.
 */
public interface FaultInjector {
  /**
   * The one on the class path; textpoke-x86 has one.
   *
   * @param loader of the classes among which it is looked for
   * @return empty if there is none
   * @throws java.util.ServiceConfigurationError if there is one that can't be loaded
   */
  static Optional<FaultInjector> find(ClassLoader loader) {
    return ServiceLoader.load(FaultInjector.class, loader).findFirst();
  }

  /**
   * Puts a fault in place. It stands in the target's ledger as any patch does, until it is
   * reverted; several of one function may be reverted in any order.
   *
   * @param process stays yours to close, which leaves the fault in place
   * @throws IllegalArgumentException if the instruction set has no error of that name, or a number
   *     is more than can be counted to; nothing was written
   * @throws PatchException of the type that names the cause; its {@link PatchException#outcome}
   *     says whether the target is untouched or was rolled back
   */
  Patch inject(TargetProcess process, Fault fault);
}
