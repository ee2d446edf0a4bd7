package io.github.textpoke.x86.livepatch;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import io.github.textpoke.x86.link.Linked;

/**
 * The initializers and finalizers of an object but for those of the compiler's start files that do
 * nothing in it: a program with one thread, in which none can be called, can have it all the same.
 */
final class RunOnce {
  /** Of crti.o and crtbegin: for profiling with gprof, and for transactional memory. */
  private static final ImmutableSet<String> IDLE = ImmutableSet.of("_init", "frame_dummy", "_fini");

  /** Of crtbegin: runs what the object has registered by {@link #REGISTRATION}. */
  private static final String DESTRUCTORS = "__do_global_dtors_aux";

  private static final String REGISTRATION = "__cxa_atexit";

  private RunOnce() {}

  static ImmutableList<Long> initializers(Linked linked) {
    return needed(linked, linked.initializers());
  }

  static ImmutableList<Long> finalizers(Linked linked) {
    return needed(linked, linked.finalizers());
  }

  private static ImmutableList<Long> needed(Linked linked, ImmutableList<Long> functions) {
    return functions.stream()
        .filter(function -> !isIdle(linked, function - linked.bias()))
        .collect(ImmutableList.toImmutableList());
  }

  private static boolean isIdle(Linked linked, long address) {
    return linked.object().symbols().codeStartingIn(address, address + 1).stream()
        .anyMatch(
            symbol ->
                IDLE.contains(symbol.name())
                    || (symbol.name().equals(DESTRUCTORS) && !registers(linked)));
  }

  private static boolean registers(Linked linked) {
    return linked.object().dynamicSymbols().stream()
        .anyMatch(symbol -> symbol.name().equals(REGISTRATION));
  }
}
