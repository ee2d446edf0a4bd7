package io.github.textpoke.apply;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.apply.internal.PokerProgram;
import io.github.textpoke.linux.Kernel;
import io.github.textpoke.linux.Ptrace;
import java.util.Arrays;

/**
 * A system call that a thread of ours will make in the target, as far as a seccomp filter may ask.
 *
 * @param name for people
 * @param number the kernel's
 * @param forSigtrap whether it is only made where the program cares for SIGTRAP
 * @param first its first arguments; the others are 0
 */
record NeededCall(String name, int number, boolean forSigtrap, ImmutableList<Long> first) {
  private static final int ARGUMENTS = 6;

  /** What the stepwise engine's helper calls. */
  static final ImmutableList<NeededCall> STEPWISE =
      ImmutableList.of(
          of("clone", Kernel.SYS_CLONE, Clone.SHARES_ALL),
          of("membarrier", Kernel.SYS_MEMBARRIER, Helper.MEMBARRIER_SYNC_CORE),
          of("membarrier", Kernel.SYS_MEMBARRIER, Helper.MEMBARRIER_REGISTER_SYNC_CORE),
          of("exit", Kernel.SYS_EXIT),
          forSigtrap("mmap", Kernel.SYS_MMAP, 0, 4096, 3, 0x22, -1, 0),
          forSigtrap("munmap", Kernel.SYS_MUNMAP, 0, 4096),
          forSigtrap("rt_sigaction", Kernel.SYS_RT_SIGACTION, Ptrace.SIGTRAP, 0, 0, 8));

  /** What it takes to map files of ours. */
  static final ImmutableList<NeededCall> MAPPING =
      ImmutableList.of(
          of("mmap", Kernel.SYS_MMAP),
          of("munmap", Kernel.SYS_MUNMAP),
          of("madvise", Kernel.SYS_MADVISE),
          of("close", Kernel.SYS_CLOSE),
          of("gettid", Kernel.SYS_GETTID),
          of("getpid", Kernel.SYS_GETPID),
          of("memfd_create", Kernel.SYS_MEMFD_CREATE),
          of("close_range", Kernel.SYS_CLOSE_RANGE));

  /** What it takes to call a function on a thread of ours; what that calls is its own. */
  static final ImmutableList<NeededCall> CALLING =
      ImmutableList.of(of("clone", Kernel.SYS_CLONE, Clone.OF_THREAD), of("exit", Kernel.SYS_EXIT));

  private static NeededCall of(String name, int number, long... first) {
    return new NeededCall(name, number, false, boxed(first));
  }

  private static NeededCall forSigtrap(String name, int number, long... first) {
    return new NeededCall(name, number, true, boxed(first));
  }

  /** What helper and poker call. */
  static ImmutableList<NeededCall> ofPoker(PokerProgram program) {
    ImmutableList.Builder<NeededCall> calls = ImmutableList.builder();
    calls.addAll(STEPWISE);
    calls.addAll(MAPPING);
    for (int number : program.systemCalls()) {
      calls.add(of("system call " + number, number));
    }
    return calls.build();
  }

  private static ImmutableList<Long> boxed(long[] values) {
    return Arrays.stream(values).boxed().collect(ImmutableList.toImmutableList());
  }

  /** All six arguments. */
  long[] arguments() {
    return Arrays.copyOf(first.stream().mapToLong(Long::longValue).toArray(), ARGUMENTS);
  }
}
