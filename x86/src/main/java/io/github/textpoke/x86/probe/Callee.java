package io.github.textpoke.x86.probe;

import io.github.textpoke.PatchException.NoSuchSymbolException;
import io.github.textpoke.PatchException.WrongStateException;
import io.github.textpoke.ledger.Extent;
import io.github.textpoke.x86.detour.OutsideCall;
import io.github.textpoke.x86.livepatch.LoadedPatch;
import io.github.textpoke.x86.livepatch.PatchState;

/**
 * The function that a probe calls.
 *
 * @param patch whose it is
 * @param address absolute
 * @param object where the object that has it is mapped
 */
record Callee(LoadedPatch patch, long address, Extent object) {
  /**
   * That of an action.
   *
   * @param pid of the process that is probed
   * @throws NoSuchSymbolException if the object exports none of that name
   * @throws WrongStateException if the live patch is of another process, or is unloaded
   */
  static Callee of(ProbeAction.Calling action, int pid) {
    LoadedPatch patch = action.patch();
    if (patch.pid() != pid) {
      throw new WrongStateException(
          "live patch %s is in process %s, not in %s".formatted(patch.id(), patch.pid(), pid));
    }
    OutsideCall.requireState("a probe that calls a function");
    Callee callee = new Callee(patch, patch.address(action.function()), patch.object());
    callee.check();
    return callee;
  }

  /** Checks that it is there. */
  void check() {
    if (patch.state() == PatchState.UNREGISTERED) {
      throw new WrongStateException("live patch %s is being unloaded".formatted(patch.id()));
    }
    if (!patch.object().equals(object) || !object.contains(address)) {
      throw new WrongStateException("live patch %s has no function there".formatted(patch.id()));
    }
  }
}
