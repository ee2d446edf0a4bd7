package io.github.textpoke.x86.livepatch;

import io.github.textpoke.PatchException.UnsupportedTargetException;
import io.github.textpoke.apply.TargetProcess;
import io.github.textpoke.process.FoundSymbol;
import io.github.textpoke.x86.link.FrameTable;
import java.util.Optional;

/**
 * Tells the program's unwinder of a live patch's object, so that exceptions can be thrown through
 * its functions: by libgcc's own registration, where the program has libgcc. Without it nobody in
 * the program unwinds by that. A program with one thread can't be told.
 */
final class FrameRegistry {
  private static final System.Logger LOGGER = System.getLogger("io.github.textpoke");

  private static final String REGISTER = "libgcc_s:__register_frame";
  private static final String DEREGISTER = "libgcc_s:__deregister_frame";

  private final TargetProcess process;
  private final Caller caller;

  FrameRegistry(TargetProcess process, Caller caller) {
    this.process = process;
    this.caller = caller;
  }

  /**
   * Registers a table.
   *
   * @return its absolute address; 0 where none was registered
   */
  long register(Optional<FrameTable> table) {
    Optional<Long> function = find(REGISTER);
    // It reads on to a zero.
    if (table.isEmpty() || !table.get().isTerminated() || function.isEmpty()) {
      return 0;
    }
    try {
      caller.call(function.get(), table.get().start(), "__register_frame of libgcc");
      return table.get().start();
    } catch (UnsupportedTargetException oneThread) {
      LOGGER.log(System.Logger.Level.INFO, "no exceptions through it: {0}", oneThread.what());
      return 0;
    }
  }

  /**
   * Takes a registration back.
   *
   * @param frames what {@link #register} has returned
   */
  void deregister(long frames) {
    Optional<Long> function = find(DEREGISTER);
    if (frames != 0 && function.isPresent()) {
      caller.call(function.get(), frames, "__deregister_frame of libgcc");
    }
  }

  private Optional<Long> find(String name) {
    return process.resolver().symbols(name).map(FoundSymbol::address).findFirst();
  }
}
