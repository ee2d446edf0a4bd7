package io.github.textpoke.x86.detour;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.textpoke.CodeBytes;
import io.github.textpoke.PatchException.PlanRefusedException;
import io.github.textpoke.PatchException.UnsupportedPlanException;

/**
 * The code of a return override, to which the overridden function's entry jumps, and its data.
 *
 * <p>Assumes that
 *
 * <ol>
 *   <li>it is entered by a jump, as the function itself would be: rsp points to the return address;
 *       by any thread, by many at once, and again from a signal handler;
 *   <li>the data block is as {@link #data} says before the first thread enters, and is written by
 *       nobody else;
 *   <li>the stack has room for 3 KiB if errno or a duration is given, else for 48 bytes; and the
 *       processor has XSAVE, enabled ({@code xsave} in /proc/cpuinfo), if errno or a duration is
 *       given;
 *   <li>{@code errnoLocation} and {@code clock} do not lead into a detour that calls the function.
 *       That it is one of the two itself is refused; whoever puts a detour on one of the two later
 *       refuses while there is an override that calls it, or has the override call the original.
 * </ol>
 *
 * <p>Guarantees that
 *
 * <ol>
 *   <li>where it goes on to the original, all registers are as at the entry, vector registers, x87
 *       and flags among them, and so is the stack from rsp upwards: callers may know more of the
 *       function than the ABI does (gcc's -fipa-ra);
 *   <li>where it overrides, it returns with the value in rax, and else as much unchanged; without
 *       conditions the flags may change. errno is set after the call was counted;
 *   <li>it has no loop, takes no lock and makes no system call of its own, so each thread is done
 *       after a bounded number of instructions, whatever others do;
 *   <li>each count is exact, and no more calls are overridden than there may be;
 *   <li>it only calls and returns in pairs, so a shadow stack stays right.
 * </ol>
 *
 * <p>Unwinding. Without conditions and errno, rsp stays as at the entry, so the return address is
 * at rsp. Else the body makes a frame, {@code push rbp; mov rbp, rsp}, right behind its ENDBR64,
 * and takes it down by {@code pop rbp} as the last but the {@code jmp} or {@code ret}:
 *
 * <ul>
 *   <li>Within the frame, and in what the body calls, the return address is at rbp + 8 and the
 *       caller's rbp at rbp; who looks at rsp finds something else.
 *   <li>At the four instructions outside of it (ENDBR64, {@code push}, {@code jmp}, {@code ret})
 *       the return address is at rsp, and who unwinds by rbp misses the caller; at the {@code mov}
 *       it is at rsp + 8. So it is in any function with a frame.
 *   <li>There is no unwind information (.eh_frame). Who needs it stops in the body: an unwinder
 *       that does not guess, and the asynchronous cancellation of a thread.
 * </ul>
 *
 * <p>Immutable and thread-safe; made without a process.
 *
 * @param code for exactly the address given
 * @param data the data block before the first call; empty where none is needed
 */
record OverrideBody(CodeBytes code, CodeBytes data) {
  /** In bytes: the address of the code should be a multiple of it. */
  static final int ALIGNMENT = 16;

  /**
   * Where things are in the target; absolute addresses.
   *
   * @param function entry of the function that is overridden: its symbol's address
   * @param body where the code will be
   * @param data where the data block will be, a multiple of {@link OverrideData#ALIGNMENT}; counts
   *     only where one is needed
   * @param original what runs where the call is not overridden: the out-of-line copy or the entry
   *     stub of the detour below, within 2 GiB
   * @param errnoLocation the C library's {@code __errno_location}; counts only with errno
   * @param clock the vDSO's {@code __vdso_clock_gettime}; counts only with a duration
   * @param deadline in nanoseconds of the target's CLOCK_MONOTONIC (its time namespace's); counts
   *     only with a duration
   */
  record Places(
      long function,
      long body,
      long data,
      long original,
      long errnoLocation,
      long clock,
      long deadline) {
    Places {
      checkArgument(data % OverrideData.ALIGNMENT == 0, "no cache line begins at %s", data);
    }
  }

  /**
   * Makes a body.
   *
   * @throws PlanRefusedException by rule 13 if the original is out of reach
   * @throws UnsupportedPlanException if the body would call the function that it overrides
   */
  static OverrideBody of(ReturnOverride override, Places places) {
    if (override.errno().isPresent()) {
      checkNotItself(places, places.errnoLocation, "__errno_location", "errno");
    }
    if (override.duration().isPresent()) {
      checkNotItself(places, places.clock, "clock_gettime", "a duration");
    }
    return new OverrideBody(
        new OverrideWriter(override, places).write(), OverrideData.initial(override));
  }

  /** The most bytes that the code of an override has, wherever things are. */
  static int roomForCode(ReturnOverride override) {
    long far = 1L << 46;
    return new OverrideWriter(override, new Places(far, far, far, far, far, far, far))
        .write()
        .length();
  }

  private static void checkNotItself(Places places, long callee, String name, String what) {
    if (callee == places.function) {
      throw new UnsupportedPlanException(
          "an override with "
              + what
              + " calls "
              + name
              + ", which is the very function at 0x"
              + Long.toHexString(callee)
              + " that it should override: each call would lead to the next, for ever",
          "override it without " + what);
    }
  }
}
